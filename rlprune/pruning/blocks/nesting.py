"""Which of nested candidates are one decision."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from torch import nn

from rlprune.pruning.blocks.blocks import is_inside
from rlprune.pruning.blocks.watching import Moment, Seen


def outermost(candidates: Mapping[str, Seen], model: nn.Module) -> list[str]:
    """The candidates that lie in no other; those that only hold others give way to what they hold.

    Args:
        candidates: name -> its only call, in forward order.
    """
    return [name for top in _tops(candidates, list(candidates)) for name in _unpacked(top, candidates, model)]


def _tops(candidates: Mapping[str, Seen], names: Sequence[str]) -> list[str]:
    return [name for name in names if not any(other != name and is_inside(name, other) for other in names)]


def _unpacked(name: str, candidates: Mapping[str, Seen], model: nn.Module) -> list[str]:
    inside = _tops(candidates, [other for other in candidates if other != name and is_inside(other, name)])
    if not inside or not (_wraps(candidates[name], inside, candidates) or _lists(inside, candidates, model)):
        return [name]
    return [part for other in inside for part in _unpacked(other, candidates, model)]


def _wraps(outer: Seen, inside: Sequence[str], candidates: Mapping[str, Seen]) -> bool:
    """Whether the input goes through these, one after another, and nothing else happens to it."""
    calls = [candidates[name] for name in inside]
    ends = _same(outer.given, calls[0].given) and _same(outer.answer, calls[-1].answer)
    return ends and all(_same(left.answer, right.given) for left, right in itertools.pairwise(calls))


def _lists(inside: Sequence[str], candidates: Mapping[str, Seen], model: nn.Module) -> bool:
    """Whether two of these stand in a list and one takes what the other answers."""
    owners = [model.get_submodule(name.rpartition(".")[0]) for name in inside]
    pairs = itertools.pairwise(zip(inside, owners, strict=True))
    return any(
        owner is next_owner
        and isinstance(owner, nn.Sequential | nn.ModuleList)
        and _same(candidates[left].answer, candidates[right].given)
        for (left, owner), (right, next_owner) in pairs
    )


def _same(left: Moment | None, right: Moment | None) -> bool:
    return left is not None and right is not None and left.same(right)
