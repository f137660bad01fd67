"""A torch network seen as an ordered list of groups of channels."""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune import tracing
from rlprune.errors import NetworkError
from rlprune.layers import Layer, describe, fixed_macs, kind_of
from rlprune.pruning import verification
from rlprune.tracing import Coupling, Member

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

CHOICES_AT_LEAST = 4
PRODUCERS = ("conv", "transposed", "linear", "embedding")


@dataclass(frozen=True, eq=False)
class Group:
    """Layers that must lose the same channels together.

    Attributes:
        name: the first layer, in forward order, that produces these channels.
        width: channels of the dense network.
        widths: allowed channel counts, ascending; the last is ``width``.
        producers: layers whose output channels these are (several where a residual sum joins them).
        consumers: layers that read them.
        followers: depthwise convolutions, BatchNorms and the like that carry them along.
        members: where the channels stand in each of those layers.
    """

    name: str
    width: int
    widths: tuple[int, ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    followers: tuple[str, ...]
    members: tuple[Member, ...]


def allowed_widths(width: int, multiple: int) -> tuple[int, ...]:
    """Channel counts a group may have: multiples of ``multiple``, finer where the group is narrow, and ``width``.

    The step is halved until at least four choices remain, so a group of 16 has 4, 8, 12, 16 at a multiple of 8.
    """
    step = multiple
    while step > 1 and width < CHOICES_AT_LEAST * step:
        step //= 2
    return tuple(sorted({*range(step, width, step), width}))


class Network:
    """A private, dense, evaluated copy of ``model`` with its groups, costs and identity.

    Args:
        model: any ``nn.Module`` in floating point. It is copied, never changed.
        example_inputs: a tensor, a tuple of tensors, or a dict of keyword tensors that ``forward`` takes; the first
            dimension of the first tensor is the batch.
        ignore: layer names or patterns (``head*``) whose output channels stay whole.
        multiple: widths are rounded to multiples of this (see :func:`allowed_widths`).

    Attributes:
        groups: in forward order.
        layers: layers of a known kind, in forward order.
        dense_widths: ``int64 [G]``.
        left_whole: layer name -> why its channels are not pruned.
        fingerprint: SHA-256 of groups and layer shapes; weight values do not enter.

    Raises:
        NetworkError: the model cannot be copied or traced, holds NaN, cannot take the inputs, or has nothing to prune.
    """

    def __init__(self, model: nn.Module, example_inputs: Any, *, ignore: Sequence[str] = (), multiple: int = 8) -> None:
        if not isinstance(model, nn.Module):
            raise NetworkError(f"A network must be a torch.nn.Module; {type(model).__name__} came.")
        if multiple < 1:
            raise NetworkError(f"The width multiple must be at least 1; {multiple} came.")
        self.example_inputs = tracing.as_inputs(example_inputs)
        self.model = _private_copy(model)
        _refuse_bad_weights(self.model)
        calls = tracing.trace_calls(self.model, self.example_inputs)
        self.layers = self._describe_layers(calls)
        self._fixed_macs = self._count_fixed_macs(calls)
        self.left_whole: dict[str, str] = {}
        traced = copy.deepcopy(self.model).requires_grad_(True)
        ignored = _matching_layers(self.model, ignore)
        self.groups = self._sound(
            self._groups(tracing.find_couplings(traced, self.example_inputs), calls, ignored, multiple)
        )
        self._name_untraced()
        self._total_params = sum(parameter.numel() for parameter in self.model.parameters())
        self._index()

    def _describe_layers(self, calls: tracing.Calls) -> tuple[Layer, ...]:
        modules = dict(self.model.named_modules())
        found = []
        for name in calls.order:
            kind = kind_of(modules[name])
            if kind is not None:
                found.append(describe(name, modules[name], kind, calls.positions[name]))
        return tuple(found)

    def _count_fixed_macs(self, calls: tracing.Calls) -> float:
        """Multiply-adds of one sample in layers of no known kind, such as grouped convolutions."""
        modules = dict(self.model.named_modules())
        unknown = [name for name in calls.order if kind_of(modules[name]) is None]
        return sum(fixed_macs(modules[name], calls.positions[name]) for name in unknown)

    def _groups(
        self, couplings: list[Coupling], calls: tracing.Calls, ignored: set[str], multiple: int
    ) -> tuple[Group, ...]:
        order = {name: index for index, name in enumerate(calls.order)}
        kinds = {layer.name: layer.kind for layer in self.layers}
        groups = []
        for coupling in couplings:
            members = sorted(coupling.members, key=lambda m: (order.get(m.layer, len(order)), m.side))
            outs = [m.layer for m in members if m.side == "out"]
            producers = tuple(name for name in outs if kinds.get(name) in PRODUCERS)
            if not producers:
                continue
            obstacle = coupling.obstacle or _obstacle(coupling.width, producers, members, ignored, order)
            if obstacle:
                self.left_whole.update(dict.fromkeys(producers, obstacle))
                continue
            groups.append(
                Group(
                    name=producers[0],
                    width=coupling.width,
                    widths=allowed_widths(coupling.width, multiple),
                    producers=producers,
                    consumers=tuple(m.layer for m in members if m.side == "in"),
                    followers=tuple(name for name in outs if name not in producers),
                    members=tuple(members),
                )
            )
        return tuple(sorted(groups, key=lambda group: order[group.name]))

    def _sound(self, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        """Keep the groups whose pruning was shown to be right; the others are left whole."""
        self.groups = groups
        if groups and verification.disagreement(self, groups) is not None:
            sound = []
            for group in groups:
                reason = verification.disagreement(self, (group,))
                if reason is None:
                    sound.append(group)
                else:
                    self.left_whole.update(dict.fromkeys(group.producers, reason))
            groups = tuple(sound)
            self.groups = groups
            if groups and (reason := verification.disagreement(self, groups)) is not None:
                raise NetworkError(
                    f"Pruning these groups together gives a wrong network: {reason}. Use ignore= to leave some out."
                )
        if not groups:
            reasons = (
                "; ".join(f"{name}: {why}" for name, why in list(self.left_whole.items())[:5]) or "no layers found"
            )
            raise NetworkError(
                f"A network needs at least one group of channels that can be pruned; there is none ({reasons})."
            )
        return groups

    def _name_untraced(self) -> None:
        """Give a reason for producers that stand in no group and have none yet."""
        grouped = {name for group in self.groups for name in group.producers}
        for layer in self.layers:
            if layer.kind in PRODUCERS and layer.name not in grouped:
                self.left_whole.setdefault(layer.name, "what depends on its channels could not be traced")

    def _index(self) -> None:
        """Linear maps from group widths to the channel counts of every layer side."""
        # Counts are kept as float64, exact up to 2**53, because numpy multiplies integer matrices without BLAS.
        position = {layer.name: index for index, layer in enumerate(self.layers)}
        self.dense_widths: IntArray = np.array([group.width for group in self.groups], dtype=np.int64)
        self._base = {
            "out": np.array([float(layer.out_width) for layer in self.layers]),
            "in": np.array([float(layer.in_width) for layer in self.layers]),
        }
        shape = (len(self.groups), len(self.layers))
        self._slope = {"out": np.zeros(shape), "in": np.zeros(shape)}
        for row, group in enumerate(self.groups):
            for member in group.members:
                repeats = member.slots.shape[0]
                self._slope[member.side][row, position[member.layer]] += repeats
                self._base[member.side][position[member.layer]] -= repeats * group.width
        self._macs_per_pair = np.array([layer.macs_per_pair for layer in self.layers])
        self._params_per_pair = np.array([layer.params_per_pair for layer in self.layers])
        self._params_per_out = np.array([layer.params_per_out for layer in self.layers])
        self._other_params = 0.0
        self._other_params = self._total_params - float(self.params(self.dense_widths)[0])
        self.fingerprint = _fingerprint(self.groups, self.layers)

    def as_matrix(self, widths: npt.ArrayLike) -> IntArray:
        """``widths`` as ``int64 [N, G]``."""
        matrix = np.atleast_2d(np.asarray(widths, dtype=np.int64))
        if matrix.ndim != 2 or matrix.shape[1] != len(self.groups):
            raise NetworkError(
                f"Widths must have one column for each of the {len(self.groups)} groups; shape {matrix.shape} came."
            )
        return matrix

    def axis_widths(self, widths: npt.ArrayLike) -> tuple[IntArray, IntArray]:
        """Output and input channel counts of every layer, both ``int64 [N, L]``, for widths ``[N, G]``."""
        out, into = self._axes(widths)
        return out.astype(np.int64), into.astype(np.int64)

    def _axes(self, widths: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        matrix = self.as_matrix(widths).astype(np.float64)
        return self._base["out"] + matrix @ self._slope["out"], self._base["in"] + matrix @ self._slope["in"]

    def layer_macs(self, widths: npt.ArrayLike) -> FloatArray:
        """Multiply-adds of one sample by layer of ``layers``, ``[N, L]``; convolutions and linear layers count."""
        out, into = self._axes(widths)
        return np.asarray(self._macs_per_pair * out * np.maximum(into, 1))

    def macs(self, widths: npt.ArrayLike) -> FloatArray:
        """Multiply-adds of one sample in all convolution and linear modules, ``[N, G] -> [N]``."""
        return np.asarray(self.layer_macs(widths).sum(axis=1) + self._fixed_macs)

    def params(self, widths: npt.ArrayLike) -> FloatArray:
        """Parameters of the whole network, ``[N, G] -> [N]``."""
        out, into = self._axes(widths)
        of_layers = self._params_per_pair * out * into + self._params_per_out * out
        return np.asarray(of_layers.sum(axis=1) + self._other_params)

    def restricted(self, widths: Mapping[str, Sequence[int]]) -> Network:
        """The same network with fewer allowed widths, as a device profile asks for.

        Raises:
            NetworkError: a width is not between 1 and the dense width.
        """
        other = copy.copy(self)
        groups = []
        for group in self.groups:
            allowed = tuple(sorted({*widths.get(group.name, group.widths), group.width}))
            if allowed[0] < 1 or allowed[-1] > group.width:
                raise NetworkError(f"Widths of {group.name} must lie between 1 and {group.width}; {allowed} came.")
            groups.append(replace(group, widths=allowed))
        other.groups = tuple(groups)
        return other

    def group_index(self, name: str) -> int:
        """Position of a group in forward order."""
        return next(index for index, group in enumerate(self.groups) if group.name == name)


def _obstacle(
    width: int, producers: tuple[str, ...], members: list[Member], ignored: set[str], order: dict[str, int]
) -> str | None:
    if width < 2:
        return "it has one channel only"
    if kept := [name for name in producers if name in ignored]:
        return f"{kept[0]} is ignored, as asked"
    if silent := [member.layer for member in members if member.layer not in order]:
        return f"{silent[0]} is not called with the example inputs"
    return None


def _matching_layers(model: nn.Module, patterns: Sequence[str]) -> set[str]:
    names = [name for name, _ in model.named_modules() if name]
    matched: set[str] = set()
    for pattern in patterns:
        hits = {name for name in names if fnmatch.fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")}
        if not hits:
            raise NetworkError(f"ignore= must name layers of the network; nothing matches {pattern!r}.")
        matched |= hits
    return matched


def _private_copy(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model).eval().requires_grad_(False)
    except Exception as reason:
        raise NetworkError(
            f"A network must be a plain module that can be copied; copying failed: {str(reason).splitlines()[0]} Give "
            "it before scripting, and remove hooks that compute weights (remove_weight_norm, prune.remove)."
        ) from reason


def _refuse_bad_weights(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise NetworkError(
                f"Weights must be finite; {name} holds NaN or infinity. Train or load the network again."
            )


def _fingerprint(groups: Sequence[Group], layers: Sequence[Layer]) -> str:
    identity = {
        "groups": [[group.name, group.width, list(group.producers), list(group.consumers)] for group in groups],
        "layers": [
            [x.name, x.kind, x.out_width, x.in_width, list(x.kernel), list(x.stride), x.positions] for x in layers
        ],
    }
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
