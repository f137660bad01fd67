"""Makes the record of a network of a model: finds its groups, keeps those whose pruning is right, explains the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rlprune.arrays import IntArray
from rlprune.errors import NetworkError
from rlprune.networks.groups import Group, GroupRules, make_groups
from rlprune.networks.inputs import Inputs, as_inputs, plain
from rlprune.networks.loading.acceptance import accepted_copy, check_inputs, check_repeatable
from rlprune.networks.loading.discovery import Discovery, discover, explore
from rlprune.networks.loading.left_whole import explained
from rlprune.networks.loading.soundness import sound, ties_of
from rlprune.networks.outputs import Pick
from rlprune.networks.record import NetworkRecord


def load(model: Any, example_inputs: Any, rules: GroupRules, outputs: Pick) -> NetworkRecord:
    """The record of a copy of ``model``; arguments and errors are those of :class:`rlprune.Network`."""
    inputs = plain(as_inputs(example_inputs))
    with torch.inference_mode(False):
        private = accepted_copy(model)
    parameters = private.named_parameters(remove_duplicate=False)
    trainable = frozenset(key for key, parameter in parameters if parameter.requires_grad)
    private.requires_grad_(False)
    check_inputs(private, inputs)
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        check_repeatable(private, inputs, outputs)
        return _Loading(private, inputs, rules, outputs, trainable).record()


@dataclass(frozen=True, eq=False)
class _Attempt:
    """One way to see the network.

    Attributes:
        found: the discovery it comes from.
        network: with the groups that can be pruned.
        failed: the other groups.
        reasons: group name -> why it failed.
    """

    found: Discovery
    network: NetworkRecord
    failed: tuple[Group, ...]
    reasons: Mapping[str, str]

    def reach(self) -> int:
        """Number of places in weights that hold channels which can be pruned."""
        return sum(member.slots.numel() for group in self.network.groups for member in group.members)


@dataclass(frozen=True, eq=False)
class _Loading:
    model: torch.nn.Module
    inputs: Inputs
    rules: GroupRules
    outputs: Pick
    trainable: frozenset[str]

    def record(self) -> NetworkRecord:
        first = explore(self.model, self.inputs, self.outputs)
        modules = [name for name, _ in self.model.named_modules() if name]
        self.rules.check([*modules, *(item.layer.name for item in first.layers)])
        best = self._best(first)
        network = best.network
        for group in best.failed:
            network.left_whole |= dict.fromkeys(group.producers, best.reasons[group.name])
        _store_channels(network)
        network.left_whole = explained(network.left_whole, network.groups, best.found, self.model)
        _refuse_none(network)
        return network

    def _best(self, first: Discovery) -> _Attempt:
        """The attempt that reaches most, after other ways to cut what fails were tried where there are any."""
        best = self._attempt(first)
        failed = [group.roots for group in best.failed]
        for taken in best.found.alternatives(np.concatenate(failed)) if failed else []:
            best = max(best, self._attempt(self._discover(taken, best.found.opaque)), key=_Attempt.reach)
        if ties := ties_of(best.network.layers, best.failed):
            tied = self._discover(best.found.taken, best.found.opaque, ties)
            best = max(best, self._attempt(tied), key=_Attempt.reach)
        return best

    def _discover(
        self, taken: Mapping[str, int], opaque: frozenset[str], ties: Sequence[tuple[IntArray, IntArray]] = ()
    ) -> Discovery:
        return discover(self.model, self.inputs, self.outputs, taken, opaque, ties)

    def _attempt(self, found: Discovery) -> _Attempt:
        """Which groups of a discovery can be pruned."""
        candidates = self._as_record(found)
        network, reasons = sound(candidates)
        failed = tuple(group for group in candidates.groups if group.name in reasons)
        return _Attempt(found, network, failed, reasons)

    def _as_record(self, found: Discovery) -> NetworkRecord:
        """The network with all groups of a discovery, unchecked."""
        trace = found.trace
        renormalized = [(place, found.roots[label[label >= 0]]) for place, label in trace.renormalized]
        groups, left_whole = make_groups(found.couplings, found.layers, self.rules, renormalized)
        return NetworkRecord(
            model=self.model,
            example_inputs=self.inputs,
            outputs=self.outputs,
            rules=self.rules,
            groups=groups,
            layers=tuple(item.layer for item in found.layers),
            attributes=found.attributes_of(groups),
            left_whole=left_whole,
            output_names=trace.outputs,
            aliases=dict(trace.aliases),
            trainable=self.trainable,
            decides=tuple(sorted(name or "the network" for name in trace.deciding)),
            atom_roots=found.roots,
            taken=found.taken,
            opaque=found.opaque,
        )


def _store_channels(network: NetworkRecord) -> None:
    """Buffers that hold channels of groups belong to the ``state_dict``: nothing else tells what a plan left."""
    cut = {(member.layer, member.side) for group in network.groups for member in group.weighted}
    held = {
        key
        for layer in network.layers
        for key, sides in layer.tensors.items()
        if any((layer.name, side) in cut for side in sides)
    }
    for key in [*held, *(alias for alias, key in network.aliases.items() if key in held)]:
        module, _, name = key.rpartition(".")
        network.model.get_submodule(module)._non_persistent_buffers_set.discard(name)


def _refuse_none(network: NetworkRecord) -> None:
    if network.groups:
        return
    reasons = "; ".join(f"{name}: {why}" for name, why in list(network.left_whole.items())[:5]) or "no layers found"
    several = "name the outputs that must stay, " if len(network.output_names) > 1 else ""
    raise NetworkError(
        f"A network needs at least one group of channels that can be pruned; there is none ({reasons}). "
        f"Ignore less, {several}or choose another network."
    )
