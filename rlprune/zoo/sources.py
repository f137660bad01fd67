"""Where a network comes from: the zoo, a function of the user's own, or another library."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from rlprune.errors import NetworkError, unknown_name
from rlprune.support.user_code import call_function, is_reference
from rlprune.zoo.loaded import ExampleInputs, LoadedNetwork
from rlprune.zoo.names import SourceName
from rlprune.zoo.registry import ZOO, load_zoo, zoo_entry

EXPECTED = (
    "an nn.Module, a pair (nn.Module, example inputs) or a rlprune.zoo.LoadedNetwork, where example inputs are a "
    "tensor, a tuple of forward's arguments or a dict of its keyword arguments"
)


SOURCES = {
    "hf": ("rlprune.zoo.huggingface", "load_huggingface"),
    "torchvision": ("rlprune.zoo.torchvision", "load_torchvision"),
    "timm": ("rlprune.zoo.timm", "load_timm"),
}
"""Prefix of a name -> module and function that load it; imported only when such a network is asked for."""
LIBRARIES = "of another library as hf:CONFIG, torchvision:NAME or timm:NAME."
HOW = f"Or name your own as module:function, or one {LIBRARIES}"


def resolve_network(name: str) -> LoadedNetwork:
    """Load a network by its zoo name, from ``module:function``, or from another library.

    The function is called without arguments and returns one of: an ``nn.Module`` (``example_inputs`` is then None, and
    the caller takes samples of the task's calibration split), a pair ``(model, example_inputs)``, or a
    ``LoadedNetwork``. A single tensor as example inputs means one argument. Weights are the function's business: it
    returns a trained network.

    Other libraries are named by a prefix, with options for how the network is built: ``hf:vit?num_labels=10`` (see
    :func:`rlprune.zoo.huggingface.load_huggingface`), ``torchvision:resnet50?weights=DEFAULT``
    (:func:`rlprune.zoo.torchvision.load_torchvision`), ``timm:vit_tiny_patch16_224``
    (:func:`rlprune.zoo.timm.load_timm`).

    Raises:
        NetworkError: unknown name, weights that cannot be loaded, a function that fails or returns another thing, or a
            library that is missing.
    """
    prefix, colon, _ = name.partition(":")
    if colon and prefix in SOURCES:
        module, function = SOURCES[prefix]
        loaded: LoadedNetwork = getattr(importlib.import_module(module), function)(SourceName.parse(name))
        return loaded
    if is_reference(name):
        return _from_function(name, _call(name, prefix))
    if colon:
        raise NetworkError(f"Networks come from {', '.join(SOURCES)} or a module; {prefix!r} came in {name!r}. {HOW}")
    if name not in ZOO:
        raise NetworkError(unknown_name("network", name, ZOO) + " " + HOW)
    entry = zoo_entry(name)
    return LoadedNetwork(name, load_zoo(name), entry.example_inputs(), entry.task)


def _call(reference: str, module: str) -> Any:
    try:
        return call_function(reference, NetworkError)
    except NetworkError as reason:
        cause = reason.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name == module.partition(".")[0]:
            raise NetworkError(f"{reason} Name a network {LIBRARIES}") from cause
        raise


def _from_function(reference: str, value: object) -> LoadedNetwork:
    if isinstance(value, LoadedNetwork):
        model, inputs, task = value.model, value.example_inputs, value.task
    elif isinstance(value, tuple) and len(value) == 2:
        (model, inputs), task = value, None
    else:
        model, inputs, task = value, None, None  # type: ignore[assignment]
    if not isinstance(model, nn.Module):
        raise NetworkError(f"{reference}() must return {EXPECTED}; it returned {_describe(value)}.")
    examples = None if inputs is None else _example_inputs(reference, inputs)
    return LoadedNetwork(reference, model.eval(), examples, task)


def _example_inputs(reference: str, inputs: object) -> ExampleInputs:
    examples = (inputs,) if isinstance(inputs, torch.Tensor) else inputs
    examples = tuple(examples) if isinstance(examples, list) else examples
    if isinstance(examples, tuple | dict):
        values = examples.values() if isinstance(examples, dict) else examples
        if any(isinstance(value, torch.Tensor) for value in values):
            return examples
    raise NetworkError(
        f"Example inputs of {reference}() must be a tensor, a tuple or a dict with at least one tensor; "
        f"got {_describe(inputs)}. Expected was {EXPECTED}."
    )


def _describe(value: object) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)} ({', '.join(type(part).__name__ for part in value)})"
    return type(value).__name__
