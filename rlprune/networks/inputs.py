"""What a network takes and answers: tensors inside tuples, lists, dicts and output classes, the samples first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from rlprune.errors import NetworkError

Inputs = tuple[Any, ...] | dict[str, Any]
"""Positional or keyword arguments of a network's ``forward``."""


def as_inputs(example_inputs: Any) -> Inputs:
    """Example inputs as a tuple of positional or a dict of keyword arguments."""
    if isinstance(example_inputs, Mapping):
        return dict(example_inputs)
    return tuple(example_inputs) if isinstance(example_inputs, tuple | list) else (example_inputs,)


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Forward with positional or keyword arguments, which it may change: it is given copies."""
    return forward(model, map_tensors(torch.clone, inputs))


def forward(model: nn.Module, inputs: Inputs) -> Any:
    """Forward on the inputs themselves, which it may change."""
    return model(**inputs) if isinstance(inputs, dict) else model(*inputs)


def plain(inputs: Inputs) -> Inputs:
    """Copies that are no inference tensors, whatever mode they were made in, and have no history."""
    with torch.inference_mode(False):
        copies: Inputs = map_tensors(lambda tensor: tensor.detach().clone(), inputs)
    return copies


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested tuples, lists, dicts and dataclasses, in their order."""
    return (tensor for _, tensor in named_tensors_in(value))


def named_tensors_in(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors in a nesting by name: keys, fields and positions, as in ``hidden_states.2``; one alone has none."""
    if isinstance(value, torch.Tensor):
        yield name, value
    else:
        for part, inner in named_parts(value).items():
            yield from named_tensors_in(inner, f"{name}.{part}" if name else part)


def named_parts(value: Any) -> dict[str, Any]:
    """The parts of a tuple, list, dict or dataclass by name or position; empty where it has none."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if isinstance(value, tuple | list):
        return {str(index): item for index, item in enumerate(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {}


def unknown_parts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Names and classes of what an answer holds that is neither tensors, None, nor a nesting of these."""
    if isinstance(value, torch.Tensor | None):
        return
    parts = named_parts(value)
    if not parts and not isinstance(value, Mapping | tuple | list):
        yield name, type(value).__name__
    for part, inner in parts.items():
        yield from unknown_parts(inner, f"{name}.{part}" if name else part)


def map_tensors(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """A nesting of tuples, lists and dicts with every tensor replaced; all else stays as it is."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(function, item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple takes its items one by one
        return type(value)(*(map_tensors(function, item) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(map_tensors(function, item) for item in value)
    return value


def batch_size(inputs: Inputs) -> int:
    """Number of samples: the first dimension of the first tensor that has dimensions.

    Raises:
        NetworkError: there is no such tensor, or it is empty.
    """
    size = next((len(tensor) for tensor in tensors_in(inputs) if tensor.dim()), 0)
    if size == 0:
        raise NetworkError(
            "Example inputs must hold a tensor whose first dimension is a non-empty batch; none was found."
        )
    return size


def as_batch(example_inputs: Any, batch: int, device: str | torch.device | None = None) -> Inputs:
    """Example inputs with ``batch`` samples, at any depth: the given ones, repeated or cut.

    A tensor whose first dimension is not the batch, such as a table of positions, stays as it is.
    """
    inputs = as_inputs(example_inputs)
    given = batch_size(inputs)
    rows = torch.arange(batch) % given

    def resize(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dim() and len(tensor) == given and batch != given:
            tensor = tensor[rows.to(tensor.device)]
        return tensor if device is None else tensor.to(device)

    resized: Inputs = map_tensors(resize, inputs)
    return resized


def telling(inputs: Inputs, seed: int = 0) -> Inputs:
    """Inputs under which two networks that differ answer differently.

    Constant real tensors become normal noise, and zeros among integers, as for tokens, some ones.
    """
    generator = torch.Generator().manual_seed(seed)

    def replace(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout != torch.strided or tensor.is_complex() or tensor.numel() < 2:
            return tensor
        if bool(tensor.max() != tensor.min()):
            return tensor
        if not tensor.is_floating_point():
            ones = torch.randint(2, tensor.shape, generator=generator).to(tensor)
            return tensor if tensor.dtype == torch.bool or bool(tensor.any()) else ones
        return torch.randn(tensor.shape, generator=generator).to(tensor)

    told: Inputs = map_tensors(replace, inputs)
    return told
