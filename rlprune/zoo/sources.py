"""Where a network comes from: the zoo, or a function of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rlprune.errors import NetworkError
from rlprune.references import call_function, is_reference
from rlprune.zoo.registry import load_zoo, zoo_entry

ExampleInputs = tuple[Any, ...] | dict[str, Any]
EXPECTED = (
    "an nn.Module, a pair (nn.Module, example inputs) or a rlprune.zoo.LoadedNetwork, where example inputs are a "
    "tensor, a tuple of forward's arguments or a dict of its keyword arguments"
)


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network and what is known about it.

    Attributes:
        name: the zoo name or the reference it was loaded from.
        model: in eval mode.
        example_inputs: what ``forward`` takes, batch first: a tuple of arguments or a dict of keyword arguments. None:
            not known; take the first samples of the task's calibration split.
        task: name of the task it was trained for, where known.
    """

    name: str
    model: nn.Module
    example_inputs: ExampleInputs | None = None
    task: str | None = None


def resolve_network(name: str) -> LoadedNetwork:
    """Load a network by its zoo name, or from ``module:function``.

    The function is called without arguments and returns one of: an ``nn.Module`` (``example_inputs`` is then None, and
    the caller takes samples of the task's calibration split), a pair ``(model, example_inputs)``, or a
    ``LoadedNetwork``. A single tensor as example inputs means one argument. Weights are the function's business: it
    returns a trained network.

    Raises:
        NetworkError: unknown name, weights that cannot be loaded, a function that fails or returns another thing.
    """
    if is_reference(name):
        return _from_function(name, call_function(name, NetworkError))
    entry = zoo_entry(name)
    return LoadedNetwork(name, load_zoo(name), entry.example_inputs(), entry.task)


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
