"""The JSON form of a device profile: every key is checked when it is read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from rlprune.devices.predictor import FEATURES, LatencyPredictor
from rlprune.devices.records import ErrorSummary, MeasuredPlan, Power
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.errors import ProfileError

SCHEMA = "rlprune-device-profile/1"
ADVICE = "Measure it again."


class Fields:
    """One JSON object whose values are read by kind; a wrong one names its key.

    Args:
        value: the object.
        origin: the file, and the keys that lead to this object.
    """

    def __init__(self, value: Any, origin: str) -> None:
        if not isinstance(value, dict):
            raise ProfileError(f"{origin} must be a JSON object, not {type(value).__name__}. {ADVICE}")
        self._value, self._origin = value, origin

    def _get(self, key: str) -> Any:
        if key not in self._value:
            raise ProfileError(f"{self._origin} lacks the key {key!r}. {ADVICE}")
        return self._value[key]

    def _refuse(self, key: str, rule: str) -> ProfileError:
        return ProfileError(f"{self._origin}: {key!r} must be {rule}, not {self._value[key]!r:.80}. {ADVICE}")

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise self._refuse(key, "a string")
        return value

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if not isinstance(value, bool):
            raise self._refuse(key, "true or false")
        return value

    def integer(self, key: str) -> int:
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._refuse(key, "a whole number, 0 or more")
        return value

    def number(self, key: str, *, positive: bool = False) -> float:
        value = self._get(key)
        if not _is_number(value) or (positive and value == 0):
            raise self._refuse(key, "a finite number above 0" if positive else "a finite number, 0 or more")
        return float(value)

    def integers(self, key: str) -> tuple[int, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not value or not all(type(item) is int and item > 0 for item in value):
            raise self._refuse(key, "a list of whole numbers above 0")
        return tuple(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(_is_number(item) for item in value):
            raise self._refuse(key, "a list of finite numbers, 0 or more")
        return tuple(float(item) for item in value)

    def items(self, key: str) -> list[Any]:
        value = self._get(key)
        if not isinstance(value, list):
            raise self._refuse(key, "a list")
        return value

    def inner(self, key: str) -> Fields:
        return Fields(self._get(key), f"{self._origin}: {key!r}")

    def has(self, key: str) -> bool:
        return self._value.get(key) is not None

    def names(self) -> list[str]:
        return list(self._value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def parse(value: dict[str, Any], origin: str) -> dict[str, Any]:
    """Check the JSON form and return the fields of a :class:`rlprune.devices.profile.DeviceProfile`.

    Raises:
        ProfileError: another schema, a key that is missing, or a value that is not of its kind.
    """
    schema = value.get("schema")
    if schema != SCHEMA:
        raise ProfileError(f"{origin} must have the schema {SCHEMA!r}; {schema!r} came. {ADVICE}")
    fields = Fields(value, origin)
    widths = fields.inner("widths")
    allowed = {name: widths.integers(name) for name in widths.names()}
    plans = [Fields(plan, f"{origin}: 'measured'") for plan in fields.items("measured")]
    measured = tuple(
        MeasuredPlan(p.integers("widths"), p.number("latency_ms", positive=True), p.flag("held_out")) for p in plans
    )
    _check_widths(allowed, measured, origin)
    return {
        **{key: fields.text(key) for key in ("device", "os", "estimator", "created", "fingerprint")},
        **{key: fields.integer(key) for key in ("samples", "seed")},
        **{key: _errors(fields.inner(key)) for key in ("held_out", "cross_validated")},
        "runtime": runtime_identity(fields.inner("runtime")),
        "dense_latency_ms": fields.number("dense_latency_ms", positive=True),
        "predictor": _predictor(fields.inner("predictor")),
        "widths": allowed,
        "power": _power(fields.inner("power")),
        "spread": fields.number("spread"),
        "measured": measured,
    }


def _check_widths(allowed: dict[str, tuple[int, ...]], measured: Iterable[MeasuredPlan], origin: str) -> None:
    if not allowed:
        raise ProfileError(f"{origin}: 'widths' must name at least one group. {ADVICE}")
    for name, widths in allowed.items():
        if list(widths) != sorted(set(widths)):
            raise ProfileError(f"{origin}: widths of {name!r} must rise; {list(widths)!r:.80} came. {ADVICE}")
    if any(len(plan.widths) != len(allowed) for plan in measured):
        raise ProfileError(f"{origin}: every measured plan must have {len(allowed)} widths. {ADVICE}")


def runtime_identity(fields: Fields) -> RuntimeIdentity:
    """The runtime a profile or recording was measured with."""
    texts = {key: fields.text(key) for key in ("name", "version", "provider", "precision")}
    return RuntimeIdentity(threads=fields.integer("threads"), batch=fields.integer("batch"), **texts)


def _power(fields: Fields) -> Power:
    idle = fields.number("idle_watts") if fields.has("idle_watts") else None
    return Power(fields.number("watts", positive=True), fields.text("source"), fields.flag("measured"), idle)


def _errors(fields: Fields) -> ErrorSummary:
    return ErrorSummary(fields.number("median"), fields.number("p90"), fields.number("worst"), fields.integer("plans"))


def _predictor(fields: Fields) -> LatencyPredictor:
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
    block = fields.integer("block")
    if block < 1:
        raise ProfileError(f"The predictor's 'block' must be 1 or more. {ADVICE}")
    return LatencyPredictor(fields.number("intercept_ms"), block, coefficients)
