"""Claims of a run, each beside what was found when it was computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from rlprune.errors import RlpruneError
from rlprune.support.records import as_plain

HOLDS, DIFFERS, UNCHECKED = "holds", "differs", "not checked"


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be from what was claimed: the larger of both parts.

    Attributes:
        absolute: in the number's unit.
        relative: as a share of the claimed number.
        why: what makes it that large, for people.
    """

    absolute: float = 0.0
    relative: float = 0.0
    why: str = ""

    def of(self, claimed: float) -> float:
        """In the number's unit."""
        return max(self.absolute, self.relative * abs(claimed))


EXACT = Tolerance(why="exact")
SUMS = Tolerance(1e-12, 1e-9, "sums of float64 in another order")


@dataclass(frozen=True)
class Claim:
    """One thing that a run states.

    Attributes:
        topic: what part of the record it stands in.
        name: what is stated.
        subject: of which network, episode or file.
        claimed, found: the values; None where there is none.
        difference: between numbers; None for anything else.
        tolerance: the largest difference that still holds; None for anything but numbers.
        verdict: holds, differs or not checked.
        why: the reason of the tolerance, of the difference, or why it cannot be checked here.
    """

    topic: str
    name: str
    subject: str
    claimed: Any
    found: Any
    difference: float | None
    tolerance: float | None
    verdict: str
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values; numbers that JSON does not know become text."""
        return {name: _plain(value) for name, value in asdict(self).items()}


@dataclass
class Claims:
    """Collects claims, one topic after the other."""

    items: list[Claim] = field(default_factory=list)
    topic: str = ""

    def check(self, name: str, subject: str, claimed: Any, found: Any, tolerance: Tolerance = EXACT) -> None:
        """Numbers that may differ a little, and anything that must be the same; nothing where neither side has any."""
        if claimed is None and found is None:
            return
        if not _is_number(claimed) or not _is_number(found):
            self.equal(name, subject, claimed, found, _missing(claimed, found) or tolerance.why)
            return
        same = claimed == found or (math.isnan(claimed) and math.isnan(found))
        difference, allowed = 0.0 if same else abs(found - claimed), tolerance.of(claimed)
        verdict = HOLDS if difference <= allowed else DIFFERS  # NaN is no match
        self._add(name, subject, claimed, found, difference, allowed, verdict, tolerance.why)

    def equal(self, name: str, subject: str, claimed: Any, found: Any, why: str = EXACT.why) -> None:
        """What must be the same, numbers included."""
        self._add(name, subject, claimed, found, verdict=HOLDS if claimed == found else DIFFERS, why=why)

    def unchecked(self, name: str, subject: str, claimed: Any, why: str, found: Any = None) -> None:
        """What cannot be checked here, with the reason."""
        self._add(name, subject, claimed, found, verdict=UNCHECKED, why=why)

    def differs(self, name: str, subject: str, claimed: Any, why: str) -> None:
        """What cannot be as claimed."""
        self._add(name, subject, claimed, None, verdict=DIFFERS, why=why)

    @contextmanager
    def reading(self, name: str, subject: str, claimed: Any = None) -> Iterator[None]:
        """An error of the block is what was found: the claim differs."""
        try:
            yield
        except RlpruneError as reason:
            self.differs(name, subject, claimed, " ".join(str(reason).split()))

    def _add(
        self,
        name: str,
        subject: str,
        claimed: Any,
        found: Any,
        difference: float | None = None,
        tolerance: float | None = None,
        verdict: str = UNCHECKED,
        why: str = "",
    ) -> None:
        values = as_plain(claimed), as_plain(found)
        self.items.append(Claim(self.topic, name, subject, *values, difference, tolerance, verdict, why))

    def counts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        return {which: sum(item.verdict == which for item in self.items) for which in (HOLDS, DIFFERS, UNCHECKED)}


def _missing(claimed: Any, found: Any) -> str:
    if found is None:
        return "there is no such value"
    return "the record has no value here" if claimed is None else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
