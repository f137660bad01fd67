"""What is written in one text of a flag: numbers, shapes, pairs, preferences, rules for widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rlprune.costs.registry import METRICS, PROMISED
from rlprune.errors import ConfigError
from rlprune.experiments.settings.options import at_least, check_keep_ratio, check_known

PREFERABLE = ("accuracy", *dict.fromkeys((*PROMISED, *METRICS)))
RULE_FORM = "--rule must read 'PATTERN: multiple=N minimum=RATIO', such as 'layer3.*: multiple=16 minimum=0.5'"
REST = "*"
MOST_MULTIPLE = 10**6


def parse_numbers(flag: str, text: str | None, default: Sequence[int]) -> tuple[int, ...]:
    """Whole numbers with commas between; ``default`` where nothing was given.

    Raises:
        ConfigError: it names the flag.
    """
    if text is None:
        return tuple(default)
    parts = [part.strip() for part in str(text).split(",")]
    if not all(map(_is_number, parts)):
        raise ConfigError(f"{flag} takes whole numbers with commas between, such as 8,32; {text!r:.80} came.")
    return tuple(map(int, parts))


def parse_shape(flag: str, text: str) -> list[int]:
    """Sizes from ``1,3,224,224``.

    Raises:
        ConfigError: it is something else; it names the flag.
    """
    sizes = [size.strip() for size in text.strip("()[]").split(",")]
    if not all(_is_number(size) and int(size) > 0 for size in sizes):
        raise ConfigError(f"{flag} must be positive whole numbers, batch first, such as 1,3,224,224; {text!r} came.")
    return [int(size) for size in sizes]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


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


def parse_preferences(texts: Sequence[str], known: Sequence[str] = PREFERABLE) -> dict[str, float]:
    """How much each ``known`` objective counts, from texts such as ``accuracy=2``; empty where nothing was said.

    Raises:
        ConfigError: an unknown objective, or a weight that is not a number of at least 0, or all are 0.
    """
    weights: dict[str, float] = {}
    for name, value in key_values("--prefer", texts, "accuracy=2").items():
        check_known("objective", [name], known)
        try:
            weights[name] = float(value)
        except ValueError:
            weights[name] = math.nan
        if not (math.isfinite(weights[name]) and weights[name] >= 0):
            raise ConfigError(f"--prefer {name} must be a number of at least 0; {value!r} came.")
    if weights and not any(weights.values()):
        raise ConfigError("--prefer needs one weight over 0; all are 0. Use --prefer accuracy=1, say.")
    return weights


@dataclass(frozen=True)
class WidthRules:
    """Patterns of layer names, ``*`` for what no other one matches; of several that match the largest number counts.

    Attributes:
        multiple: pattern -> widths are multiples of this.
        minimum: pattern -> smallest keep ratio, in [0, 1].
    """

    multiple: dict[str, int]
    minimum: dict[str, float]


def parse_width_rules(texts: Sequence[str], multiple: int, minimum: float) -> WidthRules:
    """The rules in ``texts``; ``multiple`` and ``minimum`` hold for the rest.

    Raises:
        ConfigError: a text that does not read as a rule, a number out of range, or a setting that stands twice.
    """
    rules = WidthRules({REST: multiple}, {REST: minimum})
    for text in texts:
        pattern, _, settings = (part.strip() for part in text.rpartition(":"))
        if not pattern or not settings:
            raise ConfigError(f"{RULE_FORM}; {text!r} came.")
        if pattern == REST:
            raise ConfigError(f"--rule is for some layers; {text!r} came. Use --multiple and --minimum for all.")
        for setting in settings.replace(",", " ").split():
            _add(rules, text, pattern, setting)
    return rules


def _add(rules: WidthRules, text: str, pattern: str, setting: str) -> None:
    name, _, value = setting.partition("=")
    if name not in ("multiple", "minimum"):
        raise ConfigError(f"{RULE_FORM}; {setting!r} came in {text!r}.")
    if pattern in getattr(rules, name):
        raise ConfigError(f"--rule may set {name} of {pattern!r} once; it came again in {text!r}.")
    where = f"The {name} of --rule {text!r}"
    try:
        number = int(value) if name == "multiple" else float(value)
    except ValueError as reason:
        kind = "a whole number" if name == "multiple" else "a number"
        raise ConfigError(f"{where} must be {kind}; {value!r} came.") from reason
    (at_least(1, MOST_MULTIPLE) if name == "multiple" else check_keep_ratio)(where, number)
    getattr(rules, name)[pattern] = number
