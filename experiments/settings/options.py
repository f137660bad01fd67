"""Settings as typed fields: what the command line and files know of each, and which values it may have."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, field
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from rlprune.errors import ConfigError, unknown_name
from rlprune.support.files import LARGEST

T = TypeVar("T")
S = TypeVar("S", bound="Settings")
Check = Callable[[str, Any], object]
"""Raises a ConfigError where a value is out of range; the text is what the message begins with, such as the flag."""

TARGET, SEARCH, RULES, PROFILING, OUTPUT = "Target", "Search", "Pruning rules", "Profiling", "Output"
SETTINGS = "Settings"
GROUPS = (SETTINGS, TARGET, SEARCH, RULES, PROFILING, OUTPUT)
"""In which help lists flags, in this order."""
WORDS = {list[str]: "a list of texts", bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Option:
    """One setting of a configuration class.

    Attributes:
        name: of the field.
        kind: its type: str, int, float, bool or list[str], where ``optional`` also None.
        optional: whether None is a value.
        default: its value where nothing is said.
        help: what it means.
        otherwise: what holds where nothing is said, where the default does not tell.
        group: where ``--help`` lists it.
        first: whether ``--help`` lists it where a verb has many flags; ``--help-all`` lists every one.
        positional: whether it needs no flag.
        check: of its value, where that is not None.
    """

    name: str
    kind: Any
    optional: bool
    default: Any
    help: str
    otherwise: str
    group: str
    first: bool
    positional: bool
    check: Check | None

    @property
    def flag(self) -> str:
        """The flag that gives it."""
        return flag_of(self.name)

    @property
    def meaning(self) -> str:
        """What it means, and whether it may be given again."""
        return f"{self.help}; repeatable" if self.kind == list[str] and not self.positional else self.help

    @property
    def default_words(self) -> str:
        """What holds where nothing is said, for people."""
        if isinstance(self.default, list):
            return self.otherwise or ", ".join(self.default)
        return self.otherwise or ("" if self.default is None or self.default is False else str(self.default))

    @property
    def words(self) -> str:
        """What it must be, for people."""
        return WORDS[self.kind]

    def admits(self, value: Any) -> bool:
        """Whether a plain value is of its kind."""
        return fits(value, self.kind) or (self.optional and value is None)


def option(
    default: T,
    help: str,
    group: str = SETTINGS,
    *,
    otherwise: str = "",
    first: bool = False,
    positional: bool = False,
    check: Check | None = None,
) -> T:
    """A dataclass field that is a setting; the arguments are those of :class:`Option`."""
    metadata = {"help": help, "otherwise": otherwise, "group": group, "first": first}
    metadata |= {"positional": positional, "check": check}
    if isinstance(default, list):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def like(config: type[Settings], name: str, default: Any, **changes: Any) -> Any:
    """The setting of another class again, with this default, and what else differs of :func:`option`."""
    known = {item.name: item for item in dataclasses.fields(config)}[name].metadata
    return option(default, **{**known, "otherwise": "", **changes})


def _option(item: dataclasses.Field[Any], hint: Any) -> Option:
    kinds = [kind for kind in get_args(hint) if kind is not NoneType] if isinstance(hint, UnionType) else [hint]
    default = item.default if item.default_factory is MISSING else item.default_factory()
    return Option(item.name, kinds[0], kinds != [hint], default, **item.metadata)


def fits(value: Any, kind: Any) -> bool:
    """Whether a plain value is of a kind: a class, ``list[str]``, or several with ``|`` between."""
    if isinstance(kind, UnionType):
        return any(fits(value, one) for one in get_args(kind))
    if kind == list[str]:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind in (int, float):
        number = int if kind is int else (int, float)
        return isinstance(value, number) and not isinstance(value, bool) and abs(value) <= LARGEST
    return isinstance(value, kind)


@dataclass(frozen=True)
class Settings:
    """What every configuration class can do."""

    @classmethod
    @functools.cache
    def options(cls) -> Mapping[str, Option]:
        """Its settings by name, in order."""
        hints = get_type_hints(cls)
        return {item.name: _option(item, hints[item.name]) for item in dataclasses.fields(cls)}

    def check(self) -> None:
        """Refuse settings out of range.

        Raises:
            ConfigError: it names the flag.
        """
        for item in self.options().values():
            value = getattr(self, item.name)
            if item.check is not None and value is not None:
                item.check(item.flag, value)


def as_dict(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, in the order of the class."""
    return dataclasses.asdict(settings)


def from_dict(kind: type[S], values: Mapping[str, Any], where: str = "") -> S:
    """Settings from plain values, such as those of a run folder's ``config.yaml``.

    Raises:
        ConfigError: see :func:`check_kinds`.
    """
    check_kinds(kind, values, where)
    return kind(**values)


def check_kinds(kind: type[Settings], values: Mapping[str, Any], where: str = "") -> None:
    """Refuse values that are not of their kind.

    Args:
        where: what the message begins with, such as the name of the file they stand in.

    Raises:
        ConfigError: a name that is no setting, or a value of the wrong kind.
    """
    known = kind.options()
    for name, value in values.items():
        if name not in known:
            raise ConfigError(where + unknown_name("setting", name, known))
        if not known[name].admits(value):
            raise ConfigError(f"{where}Setting {name!r} must be {known[name].words}; {value!r:.80} came.")


def check_known(kind: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that are not known; the nearest is offered.

    Raises:
        ConfigError: see above.
    """
    for name in names:
        if name not in known:
            raise ConfigError(unknown_name(kind, name, known))


def flag_of(name: str) -> str:
    """The flag that gives a setting."""
    return f"--{name.replace('_', '-')}"


def words_of(name: str, value: Any) -> list[str]:
    """The words of a command that give a setting; of a list, one flag for each of its values."""
    if value is True:
        return [flag_of(name)]
    if isinstance(value, list):
        return [word for item in value for word in words_of(name, item)]
    text = str(value)
    return [f"{flag_of(name)}={text}"] if text.startswith("-") else [flag_of(name), text]


def changed_words(settings: Settings, *names: str) -> list[str]:
    """The words of a command that give those of the settings ``names`` that are not at their defaults."""
    known = settings.options()
    given = [name for name in names if getattr(settings, name) != known[name].default]
    return [word for name in given for word in words_of(name, getattr(settings, name))]


def at_least(least: int, most: int = 10**9) -> Check:
    """A whole number from ``least`` to ``most``, which is what a machine may be large enough for."""

    def check(name: str, value: int) -> None:
        shown = str(value) if abs(value) < 10**15 else "a number of more than 15 digits"
        if value < least:
            raise ConfigError(f"{name} must be at least {least}; {shown} came.")
        if value > most:
            raise ConfigError(f"{name} must be at most {most}; {shown} came.")

    return check


def check_seed(name: str, value: int) -> None:
    """A seed that NumPy and SB3 take."""
    at_least(0, 2**64)(name, value)
    if value >= 2**32:
        raise ConfigError(f"{name} must be below 2**32; {value} came.")


def check_positive(name: str, value: float) -> None:
    """A finite number over 0."""
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} must be a positive number; {value} came.")


def check_share(name: str, value: float) -> None:
    """A number between 0 and 1, both excluded."""
    if not 0 < value < 1:
        raise ConfigError(f"{name} must lie between 0 and 1 (0.03 is 3%); {value} came.")


def check_keep_ratio(name: str, value: float) -> None:
    """A number from 0 to 1."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must be a keep ratio in [0, 1]; {value} came.")
