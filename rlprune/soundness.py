"""Keeps the groups whose pruning was shown to be right, and tries to save the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rlprune.errors import NetworkError
from rlprune.pruning import verification

if TYPE_CHECKING:
    from rlprune.network import Attribute, Group, Network

MOST_GUESSES = 4


def sound_groups(network: Network, groups: tuple[Group, ...]) -> tuple[tuple[Group, ...], dict[str, str]]:
    """The groups that can be pruned, alone and together, and for each other one the reason why not.

    Where a group fails, attributes that were taken for widths because of their value are tried as constants.
    """
    reasons: dict[str, str] = {}
    while groups and (problem := verification.disagreement(network, groups)) is not None:
        kept = []
        for group in groups:
            reason = _with_best_guesses(network, group)
            if reason is None:
                kept.append(group)
            else:
                reasons[group.name] = reason
        if len(kept) == len(groups):
            if verification.disagreement(network, groups) is None:
                break
            raise NetworkError(
                f"Pruning these groups together gives a wrong network: {problem}. Use ignore= to leave some out."
            )
        groups = tuple(kept)
    return groups, reasons


def _with_best_guesses(network: Network, group: Group) -> str | None:
    """Why this group cannot be pruned alone, or None; what was guessed wrongly about attributes is taken back."""
    guesses = [a for a in network.attributes if not a.certain and group.name in a.slopes]
    first: str | None = None
    for rejected in _subsets(network, guesses):
        network.attributes = [a for a in network.attributes if a not in rejected]
        reason = verification.disagreement(network, (group,))
        if reason is None:
            return None
        first = first or reason
        network.attributes += [a for a in rejected if a not in network.attributes]
    return first


def _subsets(network: Network, guesses: Sequence[Attribute]) -> Iterator[list[Attribute]]:
    """Which guesses to take back: none, all, then one by one, then all but one."""
    yield []
    if not guesses:
        return
    yield list(guesses)
    if 1 < len(guesses) <= MOST_GUESSES:
        for size in range(1, len(guesses)):
            yield from (list(some) for some in itertools.combinations(guesses, size))
