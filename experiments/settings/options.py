"""Fields of settings with their help texts, and checks of their values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, Field, field
from typing import Any, TypeVar

from rlprune.errors import ConfigError, unknown_name
from rlprune.support.files import LARGEST

T = TypeVar("T")
MOST = {"threads": 1024, "workers": 1024, "levels": 1001, "seed": 2**64}
"""Of settings that cost memory or processes, at most; the seed is checked by itself."""


def described(text: str, *, positional: bool = False) -> dict[str, Any]:
    """Metadata of a field: the help text that the command line shows, and whether it needs no flag."""
    return {"help": text, "positional": positional}


def option(default: T, text: str, *, positional: bool = False) -> T:
    """A dataclass field with an immutable default and a help text."""
    return field(default=default, metadata=described(text, positional=positional))


def default_of(item: Field[Any]) -> Any:
    """The default of a dataclass field."""
    return item.default if item.default_factory is MISSING else item.default_factory()


def flag_of(name: str) -> str:
    """The flag that gives a setting."""
    return f"--{name.replace('_', '-')}"


def at_least(config: Any, minimum: int, *names: str) -> None:
    """Refuse integers below ``minimum``, and those that no machine is large enough for.

    Raises:
        ConfigError: it names the flag.
    """
    for name in names:
        value, most = getattr(config, name), MOST.get(name, 10**9)
        flag = flag_of(name)
        if value < minimum:
            raise ConfigError(f"{flag} must be at least {minimum}; {number_text(value)} came.")
        if value > most:
            raise ConfigError(f"{flag} must be at most {most}; {number_text(value)} came.")


def number_text(value: int) -> str:
    """A whole number for a message, however many digits it has."""
    return str(value) if abs(value) < 10**15 else "a number of more than 15 digits"


def check_watts(watts: float | None) -> None:
    """Refuse a power that is not a positive number."""
    if watts is not None and not (math.isfinite(watts) and watts > 0):
        raise ConfigError(f"--watts must be a positive number; {watts} came.")


def check_measuring(bound: float, minutes: float | None, window: float = 1.0, flags: str = "--") -> None:
    """Refuse a bound outside (0, 1), and times that are not positive numbers; ``flags`` is how their flags begin."""
    if not 0 < bound < 1:
        raise ConfigError(f"{flags}bound must lie between 0 and 1 (0.03 is 3%); {bound} came.")
    for flag, value in ((f"{flags}minutes", minutes), (f"{flags}window", window)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{flag} must be a positive number; {value} came.")


def in_seconds(minutes: float | None) -> float | None:
    """A time limit, where there is one."""
    return None if minutes is None else 60 * minutes


def parse_numbers(flag: str, text: str | None, default: Sequence[int]) -> tuple[int, ...]:
    """Whole numbers with commas between; ``default`` where nothing was given.

    Raises:
        ConfigError: it names the flag.
    """
    if text is None:
        return tuple(default)
    parts = [part.strip() for part in str(text).split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise ConfigError(f"{flag} takes whole numbers with commas between, such as 8,32; {text!r:.80} came.")
    return tuple(int(part) for part in parts)


def parse_shape(flag: str, text: str) -> list[int]:
    """Sizes from ``1,3,224,224``.

    Raises:
        ConfigError: it is something else; it names the flag.
    """
    sizes = [size.strip() for size in text.strip("()[]").split(",")]
    if not all(size.isascii() and size.isdigit() and len(size) < 10 and int(size) > 0 for size in sizes):
        raise ConfigError(f"{flag} must be positive whole numbers, batch first, such as 1,3,224,224; {text!r} came.")
    return [int(size) for size in sizes]


def fits(value: Any, wanted: str) -> bool:
    """Whether a plain value is of the kind that an annotation such as ``int | None`` names."""
    if wanted == "list[str]":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if isinstance(value, bool):
        return wanted == "bool"
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        return False
    kinds: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "None": type(None)}
    return any(isinstance(value, kinds[part]) for part in wanted.split(" | ") if part in kinds)


WORDS = {"list[str]": "a list of texts", "bool": "true or false", "int": "a whole number", "float": "a number"}


def in_words(wanted: str) -> str:
    """An annotation such as ``int | None`` for people: ``a whole number``."""
    return WORDS.get(wanted.removesuffix(" | None"), "text")


def key_values(flag: str, texts: Sequence[str], example: str) -> dict[str, str]:
    """Pairs from texts such as ``optimism=2``, which is an ``example``.

    Raises:
        ConfigError: one that does not read so, or a key that comes twice; it names the flag.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (equals and key and value):
            raise ConfigError(f"{flag} reads key=value, such as {example}; {text!r} came.")
        if key in pairs:
            raise ConfigError(f"{flag} takes each key once; {key!r} came again.")
        pairs[key] = value
    return pairs


OBJECTIVES = ("accuracy", "latency", "energy", "macs", "params")


def parse_preferences(texts: Sequence[str], known: Sequence[str] = OBJECTIVES) -> dict[str, float]:
    """How much each ``known`` objective counts, from texts such as ``accuracy=2``; empty where nothing was said.

    Raises:
        ConfigError: an unknown objective, or a weight that is not a number of at least 0, or all are 0.
    """
    weights: dict[str, float] = {}
    for name, value in key_values("--prefer", texts, "accuracy=2").items():
        if name not in known:
            raise ConfigError(unknown_name("objective", name, known))
        try:
            weights[name] = float(value)
        except ValueError:
            weights[name] = math.nan
        if not (math.isfinite(weights[name]) and weights[name] >= 0):
            raise ConfigError(f"--prefer {name} must be a number of at least 0; {value!r} came.")
    if weights and not any(weights.values()):
        raise ConfigError("--prefer needs one weight over 0; all are 0. Use --prefer accuracy=1, say.")
    return weights
