"""Whether decisions fit a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlprune.choices.choice import KINDS, Kind
from rlprune.choices.space import Space
from rlprune.errors import PlanError, unknown_name
from rlprune.networks.network import Network
from rlprune.networks.outputs import Named
from rlprune.plans.decision import Decision
from rlprune.pruning.blocks.blocks import Block

REMEDY = "Make a plan for this network, or replay the policy on it."


def check_belongs(
    fingerprint: str, decisions: Mapping[str, Decision], notes: Mapping[str, Any], network: Network
) -> None:
    """Refuse a plan of another network.

    Args:
        fingerprint, decisions, notes: of the plan.

    Raises:
        PlanError: the first group that differs is named.
    """
    theirs = [name for name, item in decisions.items() if item.keep_ratio is not None]
    ours = [group.name for group in network.groups]
    for index in range(max(len(theirs), len(ours))):
        got = theirs[index] if index < len(theirs) else "nothing"
        wanted = ours[index] if index < len(ours) else "nothing"
        if got != wanted:
            raise PlanError(
                f"A plan fits only the network it was made for; group {index} is {got!r} in the plan and "
                f"{wanted!r} in the network. {_remedy(notes, network)}"
            )
    if fingerprint != network.fingerprint:
        raise PlanError(
            "A plan fits only the network it was made for; the group names agree, but widths, layer shapes or the "
            f"input size differ. {_remedy(notes, network)}"
        )


def _remedy(notes: Mapping[str, Any], network: Network) -> str:
    """What to do about a plan that does not fit: name what its network was built with, where that differs."""
    outputs = network.outputs.names if isinstance(network.outputs, Named) else ()
    built = {"ignore": network.rules.ignore, "only": network.rules.only, "outputs": outputs}
    noted = {name: notes[name] for name in built if isinstance(notes.get(name), list)}
    other = ", ".join(f"{name}={value!r:.80}" for name, value in noted.items() if value != list(built[name]))
    return f"It was made with {other}: build Network(model, example_inputs, {other})." if other else REMEDY


def check_names(decisions: Mapping[str, Decision], space: Space) -> None:
    """Every decision is about something that is there, and nothing is decided about what is dropped.

    Raises:
        PlanError: the first that is not so is named.
    """
    known: dict[Kind, list[str]] = {kind: [] for kind in KINDS}
    for choice in space.choices:
        known[choice.kind].append(choice.name)
    blocks = {block.name: block for block in space.blocks}
    dropped = [blocks[name] for name, item in decisions.items() if item.drop and name in blocks]
    for name, item in decisions.items():
        said: dict[Kind, Any] = {"depth": item.drop, "weights": item.density, "bits": item.bits}
        for kind in (kind for kind, value in said.items() if value):
            if kind == "depth" and name in space.blocks.refused:
                space.blocks.named([name])  # tells why it cannot be dropped
            if name not in known[kind]:
                what = {"depth": "block to drop", "weights": "layer to prune"}.get(kind, "layer to quantise")
                raise PlanError(unknown_name(what, name, known[kind]))
        inside = next((block.name for block in dropped if _changes_within(block, name, item)), None)
        if inside is not None:
            raise PlanError(f"{inside} is dropped, so nothing can happen to {name} in it. Leave one of the two out.")


def _changes_within(block: Block, name: str, item: Decision) -> bool:
    """Whether a decision changes what stands in a block alone; a group named after a layer in it may reach further."""
    treated = item.density is not None or item.bits is not None
    return (treated and name in block.layers) or (item.keep_ratio not in (None, 1) and name in block.groups)


def check_densities(decisions: Mapping[str, Decision], space: Space) -> None:
    """A pattern leaves a weight one density below 1.

    Raises:
        PlanError: another one came.
    """
    allowed = space.scope.levels_of_weight()
    for name, item in decisions.items():
        if item.density is not None and round(item.density * 100) not in allowed:
            raise PlanError(
                f"With the pattern {space.scope.rule.pattern} a density is {allowed[0] / 100:g} or 1; "
                f"{item.density:g} came for {name}. Correct it, or leave the pattern out."
            )
