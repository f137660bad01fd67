"""Finds what must be pruned together, with torch-pruning's dependency graph (Fang et al., CVPR 2023).

The only file that knows that library. It hands over :class:`Member` tables; nothing of the library leaks out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import nn

from rlprune.errors import NetworkError
from rlprune.layers import Side, Transposed, kind_of

Inputs = tuple[Any, ...] | dict[str, Any]


@dataclass(frozen=True, eq=False)
class Member:
    """One side of one layer that holds the channels of a group.

    Attributes:
        layer: qualified layer name.
        side: ``out`` or ``in``.
        slots: ``int64 [repeats, width]``; where channel c stands on that side of the layer. ``repeats`` is 1, or the
            number of positions per channel where a convolution was flattened into a linear layer.
    """

    layer: str
    side: Side
    slots: torch.Tensor


@dataclass(frozen=True, eq=False)
class Coupling:
    """Channels that must be cut together: their number, the members, and why they cannot be cut (if so)."""

    width: int
    members: tuple[Member, ...]
    obstacle: str | None


@dataclass(frozen=True)
class Calls:
    """What one forward pass showed: layers in order of their first call, and their positions per sample."""

    order: tuple[str, ...]
    positions: dict[str, float]


def as_inputs(example_inputs: Any) -> Inputs:
    """Example inputs as a tuple of positional or a dict of keyword arguments."""
    if isinstance(example_inputs, dict):
        return dict(example_inputs)
    return tuple(example_inputs) if isinstance(example_inputs, tuple | list) else (example_inputs,)


def run(model: nn.Module, inputs: Inputs) -> Any:
    """Forward with positional or keyword inputs."""
    return model(**inputs) if isinstance(inputs, dict) else model(*inputs)


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested tuples, lists, dicts and dict-like outputs."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)


def batch_size(inputs: Inputs) -> int:
    """First dimension of the first input tensor."""
    first = next(tensors_in(inputs), None)
    if first is None or first.dim() == 0 or first.shape[0] == 0:
        raise NetworkError(
            "Example inputs must hold a tensor whose first dimension is a non-empty batch; none was found."
        )
    return int(first.shape[0])


def _positions(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> int:
    if isinstance(module, Transposed):
        return int(inputs[0].numel()) // module.in_channels
    kind = kind_of(module)
    channels = next((getattr(module, a) for a, side in kind.attributes.items() if side == "out"), 1) if kind else 0
    if not channels:
        channels = getattr(module, "out_channels", 0) or getattr(module, "out_features", 0)
    return int(output.numel()) // int(channels) if channels and isinstance(output, torch.Tensor) else 0


def trace_calls(model: nn.Module, inputs: Inputs) -> Calls:
    """Run once and record the order of layers and how many positions each computes per sample.

    Raises:
        NetworkError: the model cannot take these inputs, or answers with NaN or no tensor.
    """
    counts: dict[str, float] = {}
    batch = batch_size(inputs)
    names = {module: name for name, module in model.named_modules() if not list(module.children())}

    def record(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        counts[names[module]] = counts.get(names[module], 0.0) + _positions(module, arguments, output) / batch

    hooks = [module.register_forward_hook(record) for module in names]
    try:
        with torch.no_grad():
            output = run(model, inputs)
    except Exception as reason:
        raise NetworkError(
            f"The network must accept its example inputs ({_shapes(inputs)}); its forward failed: {reason}"
        ) from reason
    finally:
        for hook in hooks:
            hook.remove()
    outputs = list(tensors_in(output))
    if not outputs:
        raise NetworkError(f"The network must answer with tensors; it returned {type(output).__name__}.")
    if any(tensor.is_floating_point() and not torch.isfinite(tensor).all() for tensor in outputs):
        raise NetworkError("The network's outputs must be finite; NaN or infinity came out for the example inputs.")
    return Calls(tuple(counts), counts)


def _shapes(inputs: Inputs) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors_in(inputs)) or "no tensors"


def find_couplings(model: nn.Module, inputs: Inputs) -> list[Coupling]:
    """All sets of channels that depend on each other, each with its obstacle if it has one.

    Raises:
        NetworkError: the dependency graph of the model cannot be built.
    """
    graph = torch_pruning.DependencyGraph()
    example = inputs if isinstance(inputs, dict) else list(inputs) if len(inputs) > 1 else inputs[0]
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            graph.build_dependency(model, example, verbose=False)
            groups = list(graph.get_all_groups(root_module_types=_root_types()))
    except Exception as reason:
        raise NetworkError(
            f"The layers of this network could not be traced ({type(reason).__name__}: {reason}). Recurrent layers and "
            "control flow that depends on data are the usual causes."
        ) from reason
    names = {module: name for name, module in model.named_modules()}
    shared = _shared_tensors(model)
    return [_coupling(group, graph, names, shared) for group in groups]


def _root_types() -> list[type[nn.Module]]:
    return [
        nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear,
        nn.Embedding,
    ]  # fmt: skip


def _shared_tensors(model: nn.Module) -> dict[str, str]:
    """Layer name -> the other layer it shares a parameter with."""
    owners: dict[int, str] = {}
    shared: dict[str, str] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owner = owners.setdefault(id(parameter), name)
            if owner != name:
                shared[name], shared[owner] = owner, name
    return shared


def _coupling(group: Any, graph: Any, names: dict[nn.Module, str], shared: dict[str, str]) -> Coupling:
    width = len(group[0].idxs)
    pairs: dict[tuple[str, Side], set[tuple[int, int]]] = {}
    obstacle: str | None = None
    for item in group:
        target, handler = item.dep.target, item.dep.handler
        is_out = not graph.is_in_channel_pruning_fn(handler)
        if target.module not in names:
            if isinstance(target.module, nn.Parameter):
                obstacle = obstacle or f"a bare parameter ({target.name.split(' ')[0]}) holds its channels"
            elif not target.outputs:
                obstacle = obstacle or "its channels are an output of the network"
            continue
        name = names[target.module]
        if is_out and not target.outputs:
            obstacle = obstacle or "its channels are an output of the network"
        obstacle = obstacle or _layer_obstacle(name, target.module, shared)
        kind = kind_of(target.module)
        side: Side = "in" if not is_out and kind is not None and "in" in kind.sides else "out"
        roots = item.root_idxs if item.root_idxs is not None else item.idxs
        pairs.setdefault((name, side), set()).update(zip(item.idxs, roots, strict=True))
    members = []
    for (name, side), positions in pairs.items():
        slots = _slots(positions, width)
        if slots is None:
            obstacle = obstacle or f"the channels reach {name} unevenly"
        else:
            members.append(Member(name, side, slots))
    return Coupling(width, tuple(members), obstacle)


def _layer_obstacle(name: str, module: nn.Module, shared: dict[str, str]) -> str | None:
    if name in shared:
        return f"{name} shares its weights with {shared[name]}"
    if kind_of(module) is None and list(module.parameters(recurse=False)):
        return f"{type(module).__name__} {name} holds its channels"
    return None


def _slots(pairs: set[tuple[int, int]], width: int) -> torch.Tensor | None:
    """``[repeats, width]`` positions by channel, or None where channels do not all appear equally often."""
    by_channel: list[list[int]] = [[] for _ in range(width)]
    for index, channel in sorted(pairs):
        if channel >= width:
            return None
        by_channel[channel].append(index)
    if len({len(indices) for indices in by_channel}) != 1 or not by_channel[0]:
        return None
    return torch.tensor(by_channel, dtype=torch.int64).T.contiguous()
