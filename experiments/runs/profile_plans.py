"""What the pictures of a device profile show, so that they can be drawn without it."""

from __future__ import annotations

from msgspec import Struct

from rlprune.devices.profiles.records import ErrorSummary


class Surface(Struct, frozen=True):
    """Promised latency over the widths of two groups; ``paying`` are the widths that the profile allows."""

    groups: list[str]
    widths: list[list[int]]
    paying: list[list[int]]
    latency_ms: list[list[float]]


class MixedPlans(Struct, frozen=True):
    """Plans that drop blocks and compute in int8, as they were promised and measured, a list entry a plan."""

    error: ErrorSummary
    measured_ms: list[float]
    promised_ms: list[float]
    held_out: list[bool]
    dropped: list[int]
    int8: list[int]


class ProfilePlans(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the pictures of a device profile show; see :mod:`rlprune.experiments.reports.profile_pictures`."""

    title: str
    error: ErrorSummary
    measured_ms: list[float]
    promised_ms: list[float]
    held_out: list[bool]
    energy_source: str
    energy_measured: bool
    energy_mj: list[float]
    metered_ms: list[float]
    metered_mj: list[float]
    surface: Surface
    mixes: MixedPlans | None = None
