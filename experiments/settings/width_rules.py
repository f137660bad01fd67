"""Which widths groups may have, from ``--multiple``, ``--minimum`` and ``--rule``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlprune.errors import ConfigError
from rlprune.experiments.settings.options import number_text

FORM = "--rule must read 'PATTERN: multiple=N minimum=RATIO', such as 'layer3.*: multiple=16 minimum=0.5'"
REST = "*"
MOST = 10**6


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
            raise ConfigError(f"{FORM}; {text!r} came.")
        if pattern == REST:
            raise ConfigError(f"--rule is for some layers; {text!r} came. Use --multiple and --minimum for all.")
        for setting in settings.replace(",", " ").split():
            _add(rules, text, pattern, setting)
    return rules


def _add(rules: WidthRules, text: str, pattern: str, setting: str) -> None:
    name, _, value = setting.partition("=")
    if name not in ("multiple", "minimum"):
        raise ConfigError(f"{FORM}; {setting!r} came in {text!r}.")
    if pattern in getattr(rules, name):
        raise ConfigError(f"--rule may set {name} of {pattern!r} once; it came again in {text!r}.")
    where = f"The {name} of --rule {text!r}"
    try:
        if name == "multiple":
            rules.multiple[pattern] = check_multiple(int(value), where)
        else:
            rules.minimum[pattern] = check_minimum(float(value), where)
    except ConfigError:
        raise
    except ValueError as reason:
        kind = "a whole number" if name == "multiple" else "a number"
        raise ConfigError(f"{where} must be {kind}; {value!r} came.") from reason


def check_multiple(value: int, where: str = "--multiple") -> int:
    """``value``, or a ConfigError where it is below 1 or over a million."""
    if value < 1:
        raise ConfigError(f"{where} must be at least 1; {number_text(value)} came.")
    if value > MOST:
        raise ConfigError(f"{where} must be at most {MOST}; {number_text(value)} came.")
    return value


def check_minimum(value: float, where: str = "--minimum") -> float:
    """``value``, or a ConfigError where it is no keep ratio in [0, 1]."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{where} must be a keep ratio in [0, 1]; {value} came.")
    return value
