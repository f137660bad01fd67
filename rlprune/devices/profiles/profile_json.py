"""The JSON form of a device profile: every key is checked when it is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rlprune.devices.profiles.digest import check_seal
from rlprune.devices.profiles.fields import ADVICE, Fields
from rlprune.devices.profiles.mixed import MixedLatency
from rlprune.devices.profiles.predictor import FEATURES, LatencyPredictor
from rlprune.devices.profiles.records import (
    QUANTILES,
    EnergyModel,
    EnergyReading,
    ErrorSummary,
    MeasuredPlan,
    MeasuringPass,
    TailModel,
)
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.errors import ProfileError

SCHEMA = "rlprune-device-profile/2"


def check_schema(value: dict[str, Any], schema: str, origin: str) -> None:
    """Refuse a file of another kind or version.

    Raises:
        ProfileError: it says whether a newer rlprune wrote it.
    """
    came = value.get("schema")
    if came == schema:
        return
    kind, _, version = schema.partition("/")
    name, _, number = came.partition("/") if isinstance(came, str) else ("", "", "")
    if name == kind and number.isdecimal() and int(number) > int(version):
        raise ProfileError(f"{origin} is of a newer rlprune ({came}; this one reads {schema}). Update rlprune.")
    remedy = ADVICE if name == kind else f"Is it a profile? {ADVICE}"
    raise ProfileError(f"{origin} must have the schema {schema!r}; {came!r:.80} came. {remedy}")


def parse(value: dict[str, Any], origin: str) -> dict[str, Any]:
    """Check the JSON form and return the fields of a :class:`rlprune.devices.profiles.profile.DeviceProfile`.

    Raises:
        ProfileError: another schema, a key that is missing, a value that is not of its kind, or an edited file.
    """
    check_schema(value, SCHEMA, origin)
    fields = Fields(value, origin)
    widths = fields.inner("widths")
    allowed = {name: widths.integers(name) for name in widths.names()}
    measured = tuple(_measured(plan) for plan in fields.objects("measured"))
    readings = tuple(reading(plan) for plan in fields.objects("readings"))
    mixed = MixedLatency.from_fields(fields.inner("mixed")) if fields.has("mixed") else None
    mixes = () if mixed is None else mixed.measured
    measured_widths = [*(p.widths for p in measured), *(p.widths for p in readings), *(p.widths for p in mixes)]
    _check_widths(allowed, measured_widths, origin)
    passes = sessions(fields)
    if any(len(plan.tails_ms) != len(QUANTILES) or plan.session >= len(passes) for plan in measured):
        raise ProfileError(f"{origin}: every measured plan must have {len(QUANTILES)} tails and a session. {ADVICE}")
    basis = fields.text("basis")
    if basis not in ("network", "layers"):
        raise ProfileError(f"{origin}: 'basis' must be network or layers, not {basis!r:.80}. {ADVICE}")
    found = {
        **{key: fields.text(key) for key in ("device", "os", "estimator", "created", "fingerprint")},
        **{key: errors(fields.inner(key)) for key in ("held_out", "cross_validated")},
        "seed": fields.integer("seed"),
        "runtime": runtime_identity(fields.inner("runtime")),
        "dense_latency_ms": fields.number("dense_latency_ms", positive=True),
        "predictor": predictor(fields.inner("predictor")),
        "widths": allowed,
        "energy": energy_model(fields.inner("energy")),
        "tails": tail_models(fields.inner("tails")),
        "sessions": passes,
        "measured": measured,
        "readings": readings,
        "basis": basis,
        "notes": fields.texts("notes"),
        "mixed": mixed,
    }
    check_seal(value, origin)
    return found


def _measured(fields: Fields) -> MeasuredPlan:
    return MeasuredPlan(
        widths=fields.integers("widths"),
        latency_ms=fields.number("latency_ms", positive=True),
        tails_ms=fields.numbers("tails_ms"),
        held_out=fields.flag("held_out"),
        session=fields.integer("session"),
    )


def reading(fields: Fields) -> EnergyReading:
    """One plan under a meter."""
    numbers = {key: fields.number(key, positive=True) for key in ("energy_mj", "latency_ms", "seconds")}
    return EnergyReading(widths=fields.integers("widths"), **numbers)


def _check_widths(allowed: dict[str, tuple[int, ...]], plans: Iterable[tuple[int, ...]], origin: str) -> None:
    if not allowed:
        raise ProfileError(f"{origin}: 'widths' must name at least one group. {ADVICE}")
    for name, widths in allowed.items():
        if list(widths) != sorted(set(widths)):
            raise ProfileError(f"{origin}: widths of {name!r} must rise; {list(widths)!r:.80} came. {ADVICE}")
    if any(len(widths) != len(allowed) for widths in plans):
        raise ProfileError(f"{origin}: every measured plan must have {len(allowed)} widths. {ADVICE}")


def runtime_identity(fields: Fields) -> RuntimeIdentity:
    """The runtime a profile or recording was measured with."""
    return RuntimeIdentity(
        name=fields.text("name"),
        version=fields.text("version"),
        provider=fields.text("provider"),
        threads=fields.integer("threads"),
        batch=fields.integer("batch"),
        precision=fields.text("precision"),
        warmup=fields.integer("warmup"),
    )


def energy_model(fields: Fields) -> EnergyModel:
    """Energy of any plan."""
    numbers = {key: fields.number(key) for key in ("watts", "base_mj", "mj_per_mmac")}
    if not any(numbers.values()):
        raise ProfileError(f"The energy of a profile must not be 0 for every plan. {ADVICE}")
    return EnergyModel(
        **numbers,
        source=fields.text("source"),
        measured=fields.flag("measured"),
        idle_watts=fields.optional("idle_watts"),
        error=errors(fields.inner("error")),
    )


def tail_models(fields: Fields) -> dict[str, TailModel]:
    """Lines of all quantiles."""
    found = {}
    for name in QUANTILES:
        tail = fields.inner(name)
        found[name] = TailModel(tail.number("offset_ms"), tail.number("factor"), errors(tail.inner("error")))
    return found


def sessions(fields: Fields) -> tuple[MeasuringPass, ...]:
    """The passes of a measurement; at least one."""
    found = tuple(
        MeasuringPass(
            created=item.text("created"),
            plans=item.integer("plans"),
            samples=item.integer("samples"),
            dense_latency_ms=item.number("dense_latency_ms", positive=True),
            spread=item.number("spread"),
            bound=item.number("bound"),
            other_load=item.optional("other_load"),
        )
        for item in fields.objects("sessions")
    )
    if not found:
        raise ProfileError(f"A profile must have at least one session. {ADVICE}")
    return found


def errors(fields: Fields) -> ErrorSummary:
    """Errors of predictions."""
    return ErrorSummary(fields.number("median"), fields.number("p90"), fields.number("worst"), fields.integer("plans"))


def predictor(fields: Fields) -> LatencyPredictor:
    """Latency of any plan."""
    layers = fields.inner("layers")
    coefficients = {}
    for name in layers.names():
        layer = layers.inner(name)
        unknown = [feature for feature in layer.names() if feature not in FEATURES]
        if unknown:
            raise ProfileError(
                f"The predictor has an unknown feature {unknown[0]!r}; known: {', '.join(FEATURES)}. {ADVICE}"
            )
        coefficients[name] = {feature: layer.number(feature) for feature in layer.names()}
    steps = fields.inner("steps")
    of_groups = {name: dict(_step(pair, name) for pair in steps.items(name)) for name in steps.names()}
    block = fields.integer("block")
    if block < 1:
        raise ProfileError(f"The predictor's 'block' must be 1 or more. {ADVICE}")
    return LatencyPredictor(fields.number("intercept_ms"), block, coefficients, of_groups)


def _step(pair: Any, name: str) -> tuple[int, float]:
    """A width and the milliseconds that are added from it on."""
    named = dict(zip(("width", "ms"), pair, strict=False)) if isinstance(pair, list) else pair
    fields = Fields(named, f"step of {name}")
    return fields.integer("width"), fields.number("ms")
