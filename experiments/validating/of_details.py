"""The claims about what tasks tell beside the score."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rlprune.experiments.validating.claims import Claims, Tolerance
from rlprune.experiments.validating.rebuilding import Rebuilt
from rlprune.experiments.validating.tolerances import Tolerances
from rlprune.tasks.measures import Details


def check_details(claims: Claims, rebuilt: Rebuilt, tolerances: Tolerances) -> None:
    """Every measure of every network in the table, on both splits; after the test scores were checked."""
    told = rebuilt.result.details
    for row in [] if told is None else rebuilt.result.rows:
        if told is None or rebuilt.impossible(row.widths) is not None:
            continue
        for split, found in rebuilt.candidate(row.widths, row.role).details.items():
            claimed, samples = told.of(row.name, split), len(getattr(rebuilt.evaluator.task, split))
            for name in dict.fromkeys([*claimed, *found]):
                tolerance, theirs = _tolerance(name, found, tolerances, samples), claimed.get(name)
                alike = isinstance(theirs, list) and _alike(theirs, found.get(name), tolerance)
                claims.check(name, f"{row.name}, {split}", theirs, theirs if alike else found.get(name), tolerance)


def _tolerance(name: str, found: Details, tolerances: Tolerances, samples: int) -> Tolerance:
    """Of counts, so many samples; of shares of a class, the same of the smallest class."""
    if any(type(value) is int for value in _leaves(found.get(name))):
        return tolerances.count
    if name.startswith(("class_", "macro_")):
        samples = min((count for count in found.get("class_support", []) if count), default=samples)
    return tolerances.score(samples)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _alike(claimed: Any, found: Any, tolerance: Tolerance) -> bool:
    """Whether both have the same form, and numbers that are near each other."""
    if isinstance(claimed, list) and isinstance(found, list):
        pairs = zip(claimed, found, strict=False)
        return len(claimed) == len(found) and all(_alike(mine, other, tolerance) for mine, other in pairs)
    if not isinstance(claimed, int | float) or not isinstance(found, int | float):
        return bool(claimed == found)
    return math.isfinite(claimed) and abs(found - claimed) <= tolerance.of(claimed)
