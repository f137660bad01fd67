"""A record beside the same computed again: a claim for each field that declares how it is checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct

from rlprune.experiments.runs.checked import Checked, checked_fields
from rlprune.experiments.validating.claims import Claims
from rlprune.experiments.validating.tolerances import Tolerances

EARLIER = "the run is of an rlprune that did not record it"


@dataclass(frozen=True)
class Comparison:
    """Compares records.

    Attributes:
        claims: takes in what comes out.
        tolerances: of this machine.
        lacking: why nothing that rests on the device profile is known; None where it is.
    """

    claims: Claims
    tolerances: Tolerances
    lacking: str | None

    def compare(self, subject: str, claimed: Struct, found: Struct, but: Collection[str] = ()) -> None:
        """Compare two records field by field; what could not be computed again is the same record and makes no claim.

        Args:
            subject: what they are of.
            but: fields that were not computed again.
        """
        if claimed is found:
            return
        for field, checked in checked_fields(type(claimed)).items():
            if field not in but:
                self._field(subject, checked, getattr(claimed, field), getattr(found, field))

    def _field(self, subject: str, checked: Checked, claimed: Any, found: Any) -> None:
        if not isinstance(found, dict):
            self._value(checked.name, checked.of or subject, checked, claimed, found)
            return
        stated = claimed or {}
        for key in dict.fromkeys([*stated, *found]):
            name, of = (checked.name, key) if checked.name else (key, subject)
            self._value(name, of, checked, stated.get(key), found.get(key))

    def _value(self, name: str, subject: str, checked: Checked, claimed: Any, found: Any) -> None:
        if claimed is None and found is not None and checked.since_later:
            self.claims.unchecked(name, subject, None, EARLIER, found)
        elif claimed is not None and found is None and checked.needs_profile and self.lacking is not None:
            self.claims.unchecked(name, subject, claimed, self.lacking)
        else:
            tolerance = self.tolerances[checked.within]
            why = checked.why or tolerance.why
            self.claims.check(name, subject, claimed, found, replace(tolerance, why=why))
