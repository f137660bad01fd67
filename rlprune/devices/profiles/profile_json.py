"""The JSON form of profiles: whole and as it was sealed, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from rlprune.devices.profiles.digest import check_seal
from rlprune.devices.profiles.records import QUANTILES, EnergyModel, TailModel
from rlprune.errors import ProfileError
from rlprune.support.records import as_record

ADVICE = "Measure it again."


class Promising(Protocol):
    """What every kind of profile has."""

    @property
    def energy(self) -> EnergyModel: ...

    @property
    def tails(self) -> Mapping[str, TailModel]: ...


Record = TypeVar("Record", bound=Promising)


def read_profile(value: dict[str, Any], kind: type[Record], schema: str, origin: str) -> Record:
    """A profile from its JSON form.

    Raises:
        ProfileError: another schema, a value that is missing or not of its kind, or an edited file; it names the place.
    """
    _check_schema(value, schema, origin)
    try:
        found = as_record(value, kind)
        _check_models(found.energy, found.tails)
    except ValueError as reason:
        raise ProfileError(f"{origin}: {reason!s:.300}. {ADVICE}") from reason
    check_seal(value, origin)
    return found


def _check_schema(value: dict[str, Any], schema: str, origin: str) -> None:
    """Refuse a file of another kind or version, and say whether a newer rlprune wrote it."""
    came = value.get("schema")
    if came == schema:
        return
    kind, _, version = schema.partition("/")
    name, _, number = came.partition("/") if isinstance(came, str) else ("", "", "")
    if name == kind and number.isdecimal() and int(number) > int(version):
        raise ProfileError(f"{origin} is of a newer rlprune ({came}; this one reads {schema}). Update rlprune.")
    remedy = ADVICE if name == kind else f"Is it a profile? {ADVICE}"
    raise ProfileError(f"{origin} must have the schema {schema!r}; {came!r:.80} came. {remedy}")


def _check_models(energy: EnergyModel, tails: Mapping[str, TailModel]) -> None:
    if not any((energy.watts, energy.base_mj, energy.mj_per_mmac)):
        raise ValueError("energy must not be 0 for every plan")
    if missing := [name for name in QUANTILES if name not in tails]:
        raise ValueError(f"tails must have {', '.join(QUANTILES)}; {missing[0]} is missing")
