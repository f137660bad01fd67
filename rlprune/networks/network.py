"""A torch network seen as an ordered list of groups of channels."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlprune.errors import NetworkError, unknown_name
from rlprune.networks.checking.reference import Cut, Reference
from rlprune.networks.couplings import sizes_by_name
from rlprune.networks.groups import Group, GroupRules, make_groups
from rlprune.networks.inputs import Inputs, as_inputs, plain
from rlprune.networks.layers import Layer
from rlprune.networks.loading.acceptance import accepted_copy, check_inputs, check_repeatable
from rlprune.networks.loading.discovery import Discovery, discover, explore
from rlprune.networks.loading.left_whole import explained
from rlprune.networks.loading.soundness import sound_groups, ties_of
from rlprune.networks.outputs import Pick, picked_by
from rlprune.networks.tracing.atoms import IntArray

FloatArray = npt.NDArray[np.float64]

__all__ = ["Attribute", "FloatArray", "Group", "IntArray", "Network"]


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


class Network:
    """A private, dense, evaluated copy of ``model`` with its groups, costs and identity.

    Buffers that hold channels of a group are in its ``state_dict``, also where ``model`` leaves them out.

    Args:
        model: any ``nn.Module`` in float32 or float64. It is copied, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments that ``forward`` takes; the first
            dimension of the first tensor is the batch.
        ignore: layer names or patterns, with all below them, whose output channels stay whole.
        only: where given, only groups whose channels come out of these layers are pruned.
        multiple: widths are rounded to multiples of this (see :func:`rlprune.networks.groups.allowed_widths`), or a
            mapping from patterns to multiples, with ``*`` for the rest.
        minimum: smallest keep ratio of every group, or a mapping from patterns to ratios.
        outputs: what the model answers keeps its channels, in their order: all of it where nothing is said; else the
            tensors of these names (``["logits"]``, ``["0"]``; see :class:`rlprune.networks.outputs.Named`), or those
            that a function picks from the answer. The others may lose channels.

    Attributes:
        groups: in forward order.
        layers: one for each weight in use, in forward order.
        dense_widths: ``int64 [G]``.
        left_whole: layer name -> why its channels are not pruned.
        output_names: of all tensors that the model answers with; a tensor alone has the name ``""``.
        attributes: sizes that stand in modules and follow the widths (:class:`Attribute`).
        aliases: ``state_dict`` key -> the key of the same tensor under its first name.
        trainable: parameters that ask for gradients in ``model``, and will in pruned networks; none does here.
        decides: modules whose code decides on values they compute (``if x.mean() > 0``); only the way that the example
            inputs take is known to be right.
        fingerprint: SHA-256 of groups and layer shapes; weight values do not enter.

    Raises:
        NetworkError: the model cannot be taken or run, or has nothing to prune.
    """

    def __init__(
        self,
        model: Any,
        example_inputs: Any,
        *,
        ignore: Sequence[str] = (),
        only: Sequence[str] = (),
        multiple: int | Mapping[str, int] = 8,
        minimum: float | Mapping[str, float] = 0.0,
        outputs: Pick | Sequence[str] | None = None,
    ) -> None:
        self.rules = GroupRules(ignore, only, multiple, minimum)
        self.example_inputs = plain(as_inputs(example_inputs))
        self.outputs = picked_by(outputs)
        with torch.inference_mode(False):
            self.model = accepted_copy(model)
        parameters = self.model.named_parameters(remove_duplicate=False)
        self.trainable = frozenset(key for key, parameter in parameters if parameter.requires_grad)
        self.model.requires_grad_(False)
        self.groups: tuple[Group, ...] = ()
        self.left_whole: dict[str, str] = {}
        check_inputs(self.model, self.example_inputs)
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            check_repeatable(self.model, self.example_inputs, self.outputs)
            self._find_groups()
        self.fingerprint = _fingerprint(self.groups, self.layers)

    def _find_groups(self) -> None:
        found = explore(self.model, self.example_inputs, self.outputs)
        modules = [name for name, _ in self.model.named_modules() if name]
        self.rules.check([*modules, *(item.layer.name for item in found.layers)])
        self._use(found)
        self._keep_sound()
        self._store_channels()
        self.left_whole = explained(self.left_whole, self.groups, self._found, self.model)
        if not self.groups:
            reasons = (
                "; ".join(f"{name}: {why}" for name, why in list(self.left_whole.items())[:5]) or "no layers found"
            )
            several = "name the outputs that must stay, " if len(self.output_names) > 1 else ""
            raise NetworkError(
                f"A network needs at least one group of channels that can be pruned; there is none ({reasons}). "
                f"Ignore less, {several}or choose another network."
            )

    def _use(self, found: Discovery) -> None:
        """Take layers, groups and attributes from a discovery."""
        self._found = found
        self.aliases = dict(found.trace.aliases)
        self.output_names = found.trace.outputs
        self.atom_roots = found.roots
        self.decides = tuple(sorted(name or "the network" for name in found.trace.deciding))
        self.layers = tuple(item.layer for item in found.layers)
        renormalized = [(place, found.roots[label[label >= 0]]) for place, label in found.trace.renormalized]
        self.groups, self.left_whole = make_groups(found.couplings, found.layers, self.rules, renormalized)
        self.attributes = self._find_attributes(self.groups)

    def _find_attributes(self, groups: Sequence[Group]) -> tuple[Attribute, ...]:
        sizes = self._found.trace.sizes
        by_root = {int(coupling.roots[0]): coupling for coupling in self._found.couplings}
        owners = [(group, by_root[int(group.roots[0])]) for group in groups]
        result = []
        for (module, name, entry), indices in sizes_by_name(sizes).items():
            index = indices[0]
            slopes = {group.name: coupling.sizes[index] for group, coupling in owners if index in coupling.sizes}
            if slopes:
                result.append(Attribute(module, name, len(sizes[index].label), slopes, sizes[index].certain, entry))
        return tuple(result)

    def _keep_sound(self) -> None:
        """Leave out groups whose pruning is wrong, after other ways to cut them were tried where there are any."""
        best = self._attempt(self._found)
        failed = [group.roots for group in best.failed]
        for choices in best.found.alternatives(np.concatenate(failed)) if failed else []:
            best = max(best, self._attempt(self._discover(choices, best.found.opaque)), key=_Attempt.reach)
        if ties := ties_of(self.layers, best.failed):
            tied = self._discover(best.found.choices, best.found.opaque, ties)
            best = max(best, self._attempt(tied), key=_Attempt.reach)
        self._use(best.found)
        for group in best.failed:
            self.left_whole |= dict.fromkeys(group.producers, best.reasons[group.name])
        self.groups, self.attributes = best.groups, best.attributes
        self._index()

    def _discover(
        self, choices: Mapping[str, int], opaque: frozenset[str], ties: Sequence[tuple[IntArray, IntArray]] = ()
    ) -> Discovery:
        return discover(self.model, self.example_inputs, self.outputs, choices, opaque, ties)

    def _attempt(self, found: Discovery) -> _Attempt:
        """Which groups of a discovery can be pruned."""
        self._use(found)
        candidates = self.groups
        groups, reasons = sound_groups(self, candidates)
        failed = tuple(group for group in candidates if group.name in reasons)
        return _Attempt(found, groups, tuple(self.attributes), failed, reasons)

    def _store_channels(self) -> None:
        """Buffers that hold channels of groups belong to the ``state_dict``: nothing else tells what a plan left."""
        cut = {(member.layer, member.side) for group in self.groups for member in group.weighted}
        held = {
            key
            for layer in self.layers
            for key, sides in layer.tensors.items()
            if any((layer.name, side) in cut for side in sides)
        }
        for key in [*held, *(alias for alias, key in self.aliases.items() if key in held)]:
            module, _, name = key.rpartition(".")
            self.model.get_submodule(module)._non_persistent_buffers_set.discard(name)

    def reference(self, inputs: Inputs, cut: Cut) -> Reference:
        """The dense network in which what mixes channels ignores those that ``cut`` removes."""
        return Reference(self.model, inputs, cut, self._found.choices, self._found.opaque)

    def _index(self) -> None:
        """Channel counts of all layer sides as linear functions of the group widths."""
        position = {layer.name: index for index, layer in enumerate(self.layers)}
        self.dense_widths = np.array([group.width for group in self.groups], dtype=np.int64)
        self._base = {
            "out": np.array([float(layer.out_width) for layer in self.layers]),
            "in": np.array([float(layer.in_width) for layer in self.layers]),
            "rows": np.array([float(layer.rows) for layer in self.layers]),
        }
        shape = (len(self.groups), len(self.layers))
        self._slope = {side: np.zeros(shape) for side in self._base}
        for row, group in enumerate(self.groups):
            for member in group.members:
                repeats = member.slots.shape[0]
                self._slope[member.side][row, position[member.layer]] += repeats
                self._base[member.side][position[member.layer]] -= repeats * group.width
        self._macs_per_pair = np.array([layer.macs_per_pair for layer in self.layers])
        self._params_per_pair = np.array([layer.params_per_pair for layer in self.layers])
        self._params_per_out = np.array([layer.params_per_out for layer in self.layers])
        total = sum(parameter.numel() for parameter in self.model.parameters())
        self._other_params = 0.0
        self._other_params = total - float(self.params(self.dense_widths)[0])

    def as_matrix(self, widths: npt.ArrayLike) -> IntArray:
        """``widths`` as ``int64 [N, G]``."""
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

    def axis_widths(self, widths: npt.ArrayLike) -> tuple[IntArray, IntArray]:
        """Output and input channel counts of every layer, both ``int64 [N, L]``, for widths ``[N, G]``."""
        out, into = self._axes(widths)
        return out.astype(np.int64), into.astype(np.int64)

    def _axes(self, widths: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        matrix = self.as_matrix(widths).astype(np.float64)
        return self._base["out"] + matrix @ self._slope["out"], self._base["in"] + matrix @ self._slope["in"]

    def rows(self, widths: npt.ArrayLike) -> IntArray:
        """Channels over which the product of every layer is repeated, ``int64 [N, L]``; 1 for most."""
        found = self._base["rows"] + self.as_matrix(widths) @ self._slope["rows"]
        return found.astype(np.int64)

    def layer_macs(self, widths: npt.ArrayLike) -> FloatArray:
        """Multiply-adds of one sample by layer of ``layers``, ``[N, L]``; convolutions and matrix products count."""
        out, into = self._axes(widths)
        return np.asarray(self._macs_per_pair * out * np.maximum(into, 1) * self.rows(widths))

    def macs(self, widths: npt.ArrayLike) -> FloatArray:
        """Multiply-adds of one sample in all convolutions and matrix products, ``[N, G] -> [N]``."""
        return np.asarray(self.layer_macs(widths).sum(axis=1))

    def layer_params(self, widths: npt.ArrayLike) -> FloatArray:
        """Parameters by layer of ``layers``, ``[N, L]``; those that no layer holds are missing."""
        out, into = self._axes(widths)
        return np.asarray(self._params_per_pair * out * into + self._params_per_out * out)

    def params(self, widths: npt.ArrayLike) -> FloatArray:
        """Parameters of the whole network, ``[N, G] -> [N]``."""
        return np.asarray(self.layer_params(widths).sum(axis=1) + self._other_params)

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
        """Position of a group in forward order.

        Raises:
            NetworkError: there is no such group.
        """
        names = [group.name for group in self.groups]
        if name not in names:
            raise NetworkError(unknown_name("group", name, names))
        return names.index(name)


@dataclass(frozen=True, eq=False)
class _Attempt:
    """One way to see the network: the groups that are right, and those that are not, with the reasons."""

    found: Discovery
    groups: tuple[Group, ...]
    attributes: tuple[Attribute, ...]
    failed: tuple[Group, ...]
    reasons: Mapping[str, str]

    def reach(self) -> int:
        """Number of places in weights that hold channels which can be pruned."""
        return sum(member.slots.numel() for group in self.groups for member in group.members)


def _identity(group: Group) -> list[Any]:
    unit = [] if group.unit == 1 else [group.unit]
    return [group.name, group.width, list(group.producers), list(group.consumers), *unit]


def _fingerprint(groups: Sequence[Group], layers: Sequence[Layer]) -> str:
    identity = {
        "groups": [_identity(group) for group in groups],
        "layers": [
            [x.name, x.kind, x.out_width, x.in_width, list(x.kernel), list(x.stride), x.positions] for x in layers
        ],
    }
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
