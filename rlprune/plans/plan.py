"""A plan: what happens to every group, layer and block of one network. Readable JSON that needs no RL to be applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.choice import BITS, DENSITIES, FULL_BITS, Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.delivery.compact.file import Stored, treated
from rlprune.delivery.delivered import Delivered
from rlprune.errors import ConfigError, PlanError, RlpruneError, unknown_name
from rlprune.networks import surgery
from rlprune.networks.checking import verification
from rlprune.networks.network import Network
from rlprune.networks.outputs import Named
from rlprune.networks.tensors import tensor_named
from rlprune.plans.decision import Decision, read_decision
from rlprune.plans.treatment import WeightTreatment
from rlprune.pruning import importance, strands
from rlprune.pruning.blocks.blocks import Block
from rlprune.pruning.blocks.depth import drop_blocks
from rlprune.pruning.quantization import WeightPlace, storable_layers
from rlprune.pruning.weights import WeightRule
from rlprune.support.files import read_json, write_json

SCHEMA = "rlprune-plan/2"
CHANNELS_ONLY = "rlprune-plan/1"
REMEDY = "Make a plan for this network, or replay the policy on it."


@dataclass(frozen=True)
class PruningPlan:
    """Decisions about one network, applied in this order: blocks are dropped, channels cut, entries of weights removed,
    what remains rounded to its bits.

    Attributes:
        fingerprint: :attr:`Network.fingerprint` of the network it was made for.
        decisions: name of a group, layer or block -> decision, in forward order. Every group has a keep ratio.
        notes: free text and figures for readers; not used.
        rule: which entries of weights go, and what takes their place.
    """

    fingerprint: str
    decisions: Mapping[str, Decision]
    notes: Mapping[str, Any] = field(default_factory=dict)
    rule: WeightRule = field(default_factory=WeightRule)

    @classmethod
    def from_widths(
        cls, network: Network, widths: npt.ArrayLike, notes: Mapping[str, Any] | None = None
    ) -> PruningPlan:
        """The plan that leaves ``widths`` (``[G]``) channels in the groups of ``network``."""
        return cls.from_levels(Space(network), network.as_matrix(widths)[0], notes)

    @classmethod
    def from_levels(cls, space: Space, levels: npt.ArrayLike, notes: Mapping[str, Any] | None = None) -> PruningPlan:
        """The plan of a row of levels, ``[K]``, of a space."""
        row = space.canonical(space.as_matrix(levels))[0]
        network, named, int8 = space.network, space.named(row), set(space.computed_in_int8(row))
        kept = {g.name: float(w) / g.width for g, w in zip(network.groups, space.widths(row[None])[0], strict=True)}
        decisions = {}
        for name in [*kept, *(name for name in named if name not in kept)]:
            decision = Decision.of_levels(named.get(name, {}), kept.get(name), name in int8)
            if decision.stated():
                decisions[name] = decision
        return cls(network.fingerprint, _forward(network, decisions), dict(notes or {}), space.decisions.rule)

    @classmethod
    def load(cls, path: str | Path) -> PruningPlan:
        """Read a plan.

        Raises:
            PlanError: the file is missing, truncated, of another schema, or holds a value out of range.
        """
        data = read_json(path, PlanError)
        if data.get("schema") not in (SCHEMA, CHANNELS_ONLY):
            raise PlanError(f"{path} must have schema {SCHEMA!r}; {data.get('schema')!r:.80} came. Is it a plan?")
        decisions, fingerprint, notes = data.get("decisions"), data.get("fingerprint"), data.get("notes", {})
        if not isinstance(decisions, dict) or not isinstance(fingerprint, str) or not isinstance(notes, dict):
            raise PlanError(f"{path} must hold 'decisions' (an object) and 'fingerprint' (text). Is it a plan?")
        read = {name: read_decision(path, name, item) for name, item in decisions.items()}
        return cls(fingerprint, read, notes, _rule(path, data.get("rules", {})))

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON, atomically."""
        content = {
            "schema": SCHEMA,
            "fingerprint": self.fingerprint,
            "decisions": {name: item.stated() for name, item in self.decisions.items()},
            "rules": {"pattern": self.rule.pattern, "replacement": self.rule.replacement},
            "notes": dict(self.notes),
        }
        return write_json(path, content, PlanError)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What the plan decides; channels always."""
        items = self.decisions.values()
        found: list[Kind] = ["channels"]
        found += ["depth"] if any(item.drop for item in items) else []
        found += ["weights"] if any(item.density is not None for item in items) else []
        return (*found, "bits") if any(item.bits is not None for item in items) else tuple(found)

    def widths(self, network: Network) -> IntArray:
        """Channel counts ``int64 [G]``, never 0.

        A keep ratio that is a whole number of channels is followed as it stands, whatever widths the network allows;
        any other goes to the nearest allowed width.

        Raises:
            PlanError: the plan belongs to another network; the first group that differs is named.
        """
        self._check(network)
        rows = []
        for group in network.groups:
            rows.append(_width(group.widths, self._channels(group.name, group.width)))
        return np.array(rows, dtype=np.int64)

    def space(self, network: Network) -> Space:
        """A space in which the plan is a row of levels; see :meth:`levels`.

        Raises:
            PlanError: the plan belongs to another network, or its parts contradict each other.
        """
        self._check(network)
        items = self.decisions.values()
        stated = sorted({round(item.density * 100) for item in items if item.density not in (None, 1)})
        densities = DENSITIES if self.rule.pattern is not None else stated or DENSITIES
        bits = sorted({item.bits for item in items if item.bits not in (None, FULL_BITS)})
        int8 = [name for name, item in self.decisions.items() if item.activations is not None]
        try:
            space = Space(network, Decisions(self.kinds, densities, self.rule, bits or BITS), int8=int8)
        except ConfigError as reason:
            raise PlanError(f"The plan cannot be followed: {reason}") from reason
        self._check_names(space)
        self._check_densities(space)
        return space

    def levels(self, space: Space) -> IntArray:
        """The plan as a row of levels of a space, ``int64 [K]``; what it does not say is full.

        Raises:
            PlanError: it does not fit the network, or decides what is no choice of the space.
        """
        widths = dict(zip((group.name for group in space.network.groups), self.widths(space.network), strict=True))
        row = []
        for choice in space.choices:
            decision = self.decisions.get(choice.name, Decision())
            row.append(widths[choice.name] if choice.kind == "channels" else decision.level(choice.kind, choice.full))
        return np.array(row, dtype=np.int64)

    def exact_levels(self, space: Space) -> list[float]:
        """As :meth:`levels`, keep ratios not rounded to allowed widths: what the file really says.

        Raises:
            PlanError: as :meth:`levels`.
        """
        row: list[float] = [int(level) for level in self.levels(space)]
        for place, choice in enumerate(space.choices):
            if choice.kind == "channels":
                row[place] = self._channels(choice.name, choice.full)
        return row

    def _channels(self, name: str, full: int) -> float:
        """What a keep ratio says of ``full`` channels; an int where that is a whole number."""
        width = (self.decisions[name].keep_ratio or 1.0) * full
        return round(width) if abs(width - round(width)) < 1e-6 else width

    def _check(self, network: Network) -> None:
        theirs = [name for name, item in self.decisions.items() if item.keep_ratio is not None]
        ours = [group.name for group in network.groups]
        for index in range(max(len(theirs), len(ours))):
            got = theirs[index] if index < len(theirs) else "nothing"
            wanted = ours[index] if index < len(ours) else "nothing"
            if got != wanted:
                raise PlanError(
                    f"A plan fits only the network it was made for; group {index} is {got!r} in the plan and "
                    f"{wanted!r} in the network. {self._remedy(network)}"
                )
        if self.fingerprint != network.fingerprint:
            raise PlanError(
                "A plan fits only the network it was made for; the group names agree, but widths, layer shapes or the "
                f"input size differ. {self._remedy(network)}"
            )

    def _remedy(self, network: Network) -> str:
        """What to do about a plan that does not fit: name what its network was built with, where that differs."""
        outputs = network.outputs.names if isinstance(network.outputs, Named) else ()
        built = {"ignore": network.rules.ignore, "only": network.rules.only, "outputs": outputs}
        noted = {name: self.notes[name] for name in built if isinstance(self.notes.get(name), list)}
        other = ", ".join(f"{name}={value!r:.80}" for name, value in noted.items() if value != list(built[name]))
        return f"It was made with {other}: build Network(model, example_inputs, {other})." if other else REMEDY

    def _check_names(self, space: Space) -> None:
        """Every decision is about something that is there, and nothing is decided about what is dropped."""
        known: dict[Kind, list[str]] = {kind: [] for kind in ("depth", "channels", "weights", "bits")}
        for choice in space.choices:
            known[choice.kind].append(choice.name)
        blocks = {block.name: block for block in space.blocks}
        dropped = [blocks[name] for name, item in self.decisions.items() if item.drop and name in blocks]
        for name, item in self.decisions.items():
            said: dict[Kind, Any] = {"depth": item.drop, "weights": item.density, "bits": item.bits}
            for kind in (kind for kind, value in said.items() if value):
                if kind == "depth" and name in space.blocks.refused:
                    space.blocks.named([name])  # tells why it cannot be dropped
                if name not in known[kind]:
                    what = {"depth": "block to drop", "weights": "layer to prune"}.get(kind, "layer to quantise")
                    raise PlanError(unknown_name(what, name, known[kind]))
            inside = next((block.name for block in dropped if _changes_within(block, name, item)), None)
            if inside is not None:
                raise PlanError(
                    f"{inside} is dropped, so nothing can happen to {name} in it. Leave one of the two out."
                )

    def _check_densities(self, space: Space) -> None:
        """A pattern leaves a weight one density below 1."""
        allowed = space.decisions.levels_of_weight()
        for name, item in self.decisions.items():
            if item.density is not None and round(item.density * 100) not in allowed:
                raise PlanError(
                    f"With the pattern {self.rule.pattern} a density is {allowed[0] / 100:g} or 1; {item.density:g} "
                    f"came for {name}. Correct it, or leave the pattern out."
                )

    def apply(self, network: Network) -> nn.Module:
        """A plain copy of the network, physically smaller where channels or blocks go.

        Needs no data: the channels of largest L1 norm stay, and the entries of largest magnitude. For channels chosen
        on data and weights repaired by least squares, use :meth:`rlprune.evaluation.evaluator.Evaluator.repaired`.

        Raises:
            PlanError: the plan belongs to another network, the network's code behaves otherwise at these widths, or a
                layer is to compute in int8, which needs calibration data.
        """
        return self.cut(network).module

    def cut(self, network: Network) -> Delivered:
        """:meth:`apply`, with how the weights are stored.

        Raises:
            PlanError: as :meth:`apply`.
        """
        if int8 := [name for name, item in self.decisions.items() if item.activations is not None]:
            raise PlanError(
                f"Layers that compute in int8 need the range of their inputs, so calibration data; the plan has "
                f"{len(int8)}, such as {int8[0]}. Apply it with a task and repair: rlprune apply without --no-repair, "
                "or Evaluator.repaired."
            )
        widths, space = self.widths(network), self.space(network)
        if (reason := verification.plan_is_wrong(network, widths)) is not None:
            raise PlanError(f"A plan must give a network that computes what is left of the dense one; here {reason}.")
        network = strands.aligned(network, verification.telling_inputs(network, seed=0), importance.by_l1)
        orders = importance.by_l1(network)
        kept = {
            group.name: orders[group.name][: int(width)].sort().values
            for group, width in zip(network.groups, widths, strict=True)
        }
        module = surgery.prune(network, kept)
        stored = self._treat(module, network)
        module = drop_blocks(module, space.blocks, space.dropped(self.levels(space)))
        return Delivered(module, stored, narrow=self._narrow(network))

    def _treat(self, module: nn.Module, network: Network) -> dict[str, Stored]:
        """Masks and bits, in place; and how these weights are stored, by every name they have."""
        found = {}
        for layer in network.layers:
            decision = self.decisions.get(layer.name, Decision())
            treatment = WeightTreatment(decision.density or 1.0, decision.bits or FULL_BITS)
            if layer.weight is not None and treatment != WeightTreatment():
                weight = tensor_named(module, layer.weight)
                found[layer.weight] = treatment.stored(layer, weight.detach(), self.rule)
                weight.data = treated(weight.detach(), found[layer.weight])
        return found | {alias: found[key] for alias, key in network.aliases.items() if key in found}

    def _narrow(self, network: Network) -> dict[str, tuple[int, WeightPlace]]:
        places, items = storable_layers(network), self.decisions.items()
        bits = {name: item.bits for name, item in items if item.bits is not None and item.bits < FULL_BITS}
        return {name: (count, places[name]) for name, count in bits.items()}


def _changes_within(block: Block, name: str, item: Decision) -> bool:
    """Whether a decision changes what stands in a block alone; a group named after a layer in it may reach further."""
    treated = item.density is not None or item.bits is not None
    return (treated and name in block.layers) or (item.keep_ratio not in (None, 1) and name in block.groups)


def _forward(network: Network, decisions: Mapping[str, Decision]) -> dict[str, Decision]:
    """Decisions in forward order; a block stands before what is in it."""
    position = {layer.name: index for index, layer in enumerate(network.layers)}

    def at(name: str) -> float:
        own = position.get(name.partition("#")[0])
        inside = (index for layer, index in position.items() if layer.startswith(f"{name}."))
        return own if own is not None else min(inside, default=len(position)) - 0.5

    return {name: decisions[name] for name in sorted(decisions, key=at)}


def _width(widths: Sequence[int], wanted: float) -> int:
    """A whole number of channels as it is, else the nearest allowed width; of two equally near ones the larger."""
    if isinstance(wanted, int) and wanted > 0:
        return wanted
    return min(widths, key=lambda width: (abs(width - wanted), -width))


def _rule(path: str | Path, item: Any) -> WeightRule:
    if not isinstance(item, dict) or not set(item) <= {"pattern", "replacement"}:
        raise PlanError(f"{path}: 'rules' may hold 'pattern' and 'replacement'; {item!r:.80} came.")
    try:
        return WeightRule(**item)
    except (RlpruneError, TypeError, AttributeError) as reason:
        raise PlanError(f"{path}: {reason}") from reason
