"""Reads JSON objects from outside, key by key."""

from __future__ import annotations

from typing import Any

from rlprune.errors import ProfileError
from rlprune.support.files import LARGEST

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
        if type(value) is not int or not 0 <= value <= LARGEST:
            raise self._refuse(key, "a whole number, 0 or more")
        return value

    def number(self, key: str, *, positive: bool = False) -> float:
        value = self._get(key)
        if not _is_number(value) or (positive and value == 0):
            raise self._refuse(key, "a finite number above 0" if positive else "a finite number, 0 or more")
        return float(value)

    def positive(self, key: str) -> int:
        value = self.integer(key)
        if value == 0:
            raise self._refuse(key, "a whole number above 0")
        return value

    def sizes(self, key: str) -> tuple[int, ...]:
        """Whole numbers above 0, or none at all."""
        return () if self._get(key) == [] else self.integers(key)

    def integers(self, key: str) -> tuple[int, ...]:
        value = self._get(key)
        whole = isinstance(value, list) and all(type(item) is int and 0 < item <= LARGEST for item in value)
        if not whole or not value:
            raise self._refuse(key, "a list of whole numbers above 0")
        return tuple(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(_is_number(item) for item in value):
            raise self._refuse(key, "a list of finite numbers, 0 or more")
        return tuple(float(item) for item in value)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._refuse(key, "a list of strings")
        return tuple(value)

    def optional(self, key: str) -> float | None:
        return self.number(key) if self.has(key) else None

    def objects(self, key: str) -> list[Fields]:
        return [Fields(item, f"{self._origin}: {key!r}") for item in self.items(key)]

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
    return type(value) in (int, float) and 0 <= value <= LARGEST
