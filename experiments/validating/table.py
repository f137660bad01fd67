"""Claims for people: what differs first and in full, then what holds by topic, then what cannot be checked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.validating.claims import DIFFERS, HOLDS, UNCHECKED, Claim

LONGEST = 48
NAMED = 4
"""Subjects that are named one by one."""
HEADS = ("what holds", "of", "found", "largest\ndifference", "smallest\ntolerance")


def print_claims(claims: Sequence[Claim]) -> None:
    """Print them on stdout."""
    _print_differing([claim for claim in claims if claim.verdict == DIFFERS])
    held = [claim for claim in claims if claim.verdict == HOLDS]
    for topic in dict.fromkeys(claim.topic for claim in held):
        families = _families([claim for claim in held if claim.topic == topic])
        print_table(topic.capitalize(), HEADS, [_cells(family) for family in families])
    _print_list("Tolerances", _reasons(held))
    _print_list("Not checked", _reasons([claim for claim in claims if claim.verdict == UNCHECKED]))


def _print_differing(claims: Sequence[Claim]) -> None:
    if not claims:
        return
    print(f"{'!' * 12} {len(claims)} CLAIM{'S DIFFER' if len(claims) > 1 else ' DIFFERS'} {'!' * 12}")
    for claim in claims:
        print(f"! {claim.topic}: {claim.name} of {claim.subject}: {_told(claim)}")
    print()


def _told(claim: Claim) -> str:
    place, claimed, found = _first_difference(claim.claimed, claim.found)
    words = f"{place}claimed {_text(claimed)}"
    if found is not None:
        words += f", found {_text(found)}"
    if claim.difference is not None:
        words += f"; they differ by {claim.difference:.3g}, allowed is {claim.tolerance:.3g}"
    return f"{words} ({claim.why})" if claim.why else words


def _first_difference(claimed: Any, found: Any) -> tuple[str, Any, Any]:
    """Of two lists that are too long to be shown, the first entries that differ and their place."""
    alike = isinstance(claimed, list | tuple) and isinstance(found, list | tuple) and len(claimed) == len(found)
    if alike and max(len(str(claimed)), len(str(found))) > LONGEST:
        pairs = enumerate(zip(claimed, found, strict=True), start=1)
        number, (one, other) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
        return f"number {number} of {len(claimed)} is the first that differs: ", one, other
    return "", claimed, found


def _print_list(title: str, reasons: dict[str, list[Claim]]) -> None:
    if reasons:
        print(f"{title}:")
    for why, claims in reasons.items():
        names = ", ".join(dict.fromkeys(claim.name for claim in claims))
        print(f"- {names}: {why}.")


def _reasons(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """Claims by their reason, those that allow for nothing left out."""
    found: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.verdict == UNCHECKED or claim.tolerance:
            found[claim.why].append(claim)
    return found


def _families(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Claims of the same name together."""
    families: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        families[claim.name].append(claim)
    return list(families.values())


def _cells(family: Sequence[Claim]) -> list[str]:
    first = family[0]
    differences = [claim.difference for claim in family if claim.difference is not None]
    allowed = [claim.tolerance for claim in family if claim.tolerance is not None]
    return [
        first.name,
        _subjects(family),
        _text(first.found) if len(family) == 1 else f"{len(family)} of {len(family)}",
        f"{max(differences):.2g}" if differences else "-",
        f"{min(allowed):.2g}" if any(allowed) else "exact",
    ]


def _subjects(family: Sequence[Claim]) -> str:
    names = list(dict.fromkeys(claim.subject for claim in family))
    return ", ".join(names) if len(names) <= NAMED else f"{names[0]} and {len(names) - 1} more"


def _text(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
