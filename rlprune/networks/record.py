"""What is known of a network: its groups, its layers, and what both cost at any widths."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.errors import NetworkError, unknown_name
from rlprune.networks.groups import Group, GroupRules
from rlprune.networks.inputs import Inputs
from rlprune.networks.layers import Layer, Side
from rlprune.networks.outputs import Pick


@dataclass(frozen=True, eq=False)
class Attribute:
    """A module attribute that repeats a number of channels, such as ``out_channels`` or ``num_heads``.

    Attributes:
        module, name: where it stands.
        value: in the dense network.
        slopes: group name -> what one channel adds.
        index: of the entry, where it is a list or a tuple.
        certain: False where only its value and its module suggested it; verified like everything else.
    """

    module: str
    name: str
    value: int
    slopes: Mapping[str, int]
    certain: bool
    index: int | None = None


@dataclass(eq=False)
class NetworkRecord:
    """A dense model with its groups, costs and identity: what pruning, checking and costs read of a network.

    :class:`rlprune.Network` makes one of a model.

    Attributes:
        model: the dense network in evaluation mode; no parameter asks for gradients.
        example_inputs: what its forward takes; the first dimension of the first tensor is the batch.
        outputs: picks from the answer what keeps its channels.
        rules: what was asked of the groups.
        groups: in forward order.
        layers: one for each weight in use, in forward order; products of two activations at the end.
        attributes: sizes that stand in modules and follow the widths (:class:`Attribute`).
        left_whole: layer name -> why its channels are not pruned.
        output_names: of all tensors that the model answers with; a tensor alone has the name ``""``.
        aliases: ``state_dict`` key -> the key of the same tensor under its first name.
        trainable: parameters that ask for gradients in the given model, and will in pruned networks.
        decides: modules whose code decides on values they compute (``if x.mean() > 0``); only the way that the example
            inputs take is known to be right.
        atom_roots: for each atom of the trace, the atom it is joined with (:mod:`rlprune.networks.tracing.atoms`).
        taken: site -> the way to cut that was taken there instead of the usual one.
        opaque: modules that were not followed.
    """

    model: nn.Module
    example_inputs: Inputs
    outputs: Pick
    rules: GroupRules
    groups: tuple[Group, ...]
    layers: tuple[Layer, ...]
    attributes: tuple[Attribute, ...]
    left_whole: dict[str, str]
    output_names: tuple[str, ...]
    aliases: dict[str, str]
    trainable: frozenset[str]
    decides: tuple[str, ...]
    atom_roots: IntArray
    taken: Mapping[str, int]
    opaque: frozenset[str]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of groups and layer shapes; weight values and allowed widths do not enter."""
        identity = {
            "groups": [_identity(group) for group in self.groups],
            "layers": [
                [x.name, x.kind, x.out_width, x.in_width, list(x.kernel), list(x.stride), x.positions]
                for x in self.layers
            ],
        }
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    @cached_property
    def dense_widths(self) -> IntArray:
        """Channels of every group where nothing is pruned, ``int64 [G]``."""
        return np.array([group.width for group in self.groups], dtype=np.int64)

    @cached_property
    def _counts(self) -> _Counts:
        return _Counts(self.groups, self.layers)

    @cached_property
    def _other_params(self) -> float:
        """Parameters that no layer holds."""
        total = sum(parameter.numel() for parameter in self.model.parameters())
        return total - float(self.layer_params(self.dense_widths).sum(axis=1)[0])

    def as_matrix(self, widths: npt.ArrayLike) -> IntArray:
        """``widths`` as ``int64 [N, G]``.

        Raises:
            NetworkError: there is not one column for each group.
        """
        matrix = np.atleast_2d(np.asarray(widths, dtype=np.int64))
        if matrix.ndim != 2 or matrix.shape[1] != len(self.groups):
            raise NetworkError(
                f"Widths must have one column for each of the {len(self.groups)} groups; shape {matrix.shape} came."
            )
        return matrix

    def sizes(self, widths: npt.ArrayLike) -> dict[tuple[str, str, int | None], int]:
        """(module, attribute, entry) -> its value at ``widths`` (``[G]``), for every attribute that follows a group."""
        row = self.as_matrix(widths)[0]
        lost = {group.name: group.width - int(width) for group, width in zip(self.groups, row, strict=True)}
        result = {}
        for attribute in self.attributes:
            change = sum(slope * lost.get(name, 0) for name, slope in attribute.slopes.items())
            result[(attribute.module, attribute.name, attribute.index)] = attribute.value - change
        return result

    def _along(self, side: Side, widths: npt.ArrayLike) -> FloatArray:
        return self._counts.along(side, self.as_matrix(widths))

    def axis_widths(self, widths: npt.ArrayLike) -> tuple[IntArray, IntArray]:
        """Output and input channel counts of every layer, both ``int64 [N, L]``, for widths ``[N, G]``."""
        return self._along("out", widths).astype(np.int64), self._along("in", widths).astype(np.int64)

    def repeated(self, widths: npt.ArrayLike) -> IntArray:
        """Channels over which the product of every layer is repeated, ``int64 [N, L]``; 1 for most."""
        return self._along("repeated", widths).astype(np.int64)

    def layer_macs(self, widths: npt.ArrayLike) -> FloatArray:
        """Multiply-adds of one sample by layer of ``layers``, ``[N, L]``; convolutions and matrix products count."""
        out, into = self._along("out", widths), self._along("in", widths)
        return np.asarray(self._counts.macs_per_pair * out * np.maximum(into, 1) * self.repeated(widths))

    def macs(self, widths: npt.ArrayLike) -> FloatArray:
        """Multiply-adds of one sample in all convolutions and matrix products, ``[N, G] -> [N]``."""
        return np.asarray(self.layer_macs(widths).sum(axis=1))

    def layer_params(self, widths: npt.ArrayLike) -> FloatArray:
        """Parameters by layer of ``layers``, ``[N, L]``; those that no layer holds are missing."""
        out, into = self._along("out", widths), self._along("in", widths)
        return np.asarray(self._counts.params_per_pair * out * into + self._counts.params_per_out * out)

    def params(self, widths: npt.ArrayLike) -> FloatArray:
        """Parameters of the whole network, ``[N, G] -> [N]``."""
        return np.asarray(self.layer_params(widths).sum(axis=1) + self._other_params)

    def restricted(self, widths: Mapping[str, Sequence[int]]) -> Self:
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

    def with_model(self, model: nn.Module) -> Self:
        """The same network around another model with these modules; groups, layers and costs stay."""
        other = copy.copy(self)
        other.model = model
        return other

    def group_index(self, name: str) -> int:
        """Position of a group in forward order.

        Raises:
            NetworkError: there is no such group.
        """
        names = [group.name for group in self.groups]
        if name not in names:
            raise NetworkError(unknown_name("group", name, names))
        return names.index(name)


class _Counts:
    """Channel counts of all layer sides as linear functions of the group widths, and what they multiply."""

    def __init__(self, groups: Sequence[Group], layers: Sequence[Layer]) -> None:
        position = {layer.name: index for index, layer in enumerate(layers)}
        self._base: dict[Side, FloatArray] = {
            "out": np.array([float(layer.out_width) for layer in layers]),
            "in": np.array([float(layer.in_width) for layer in layers]),
            "repeated": np.array([float(layer.repeated) for layer in layers]),
        }
        self._slope = {side: np.zeros((len(groups), len(layers))) for side in self._base}
        for row, group in enumerate(groups):
            for member in group.members:
                repeats = member.slots.shape[0]
                self._slope[member.side][row, position[member.layer]] += repeats
                self._base[member.side][position[member.layer]] -= repeats * group.width
        self.macs_per_pair = np.array([layer.macs_per_pair for layer in layers])
        self.params_per_pair = np.array([layer.params_per_pair for layer in layers])
        self.params_per_out = np.array([layer.params_per_out for layer in layers])

    def along(self, side: Side, widths: IntArray) -> FloatArray:
        """Channels along one side of every layer, ``[N, G] -> [N, L]``."""
        return self._base[side] + widths.astype(np.float64) @ self._slope[side]


def _identity(group: Group) -> list[Any]:
    unit = [] if group.unit == 1 else [group.unit]
    return [group.name, group.width, list(group.producers), list(group.consumers), *unit]
