"""A study: runs that differ in a few settings, as a YAML file states them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlprune.errors import ConfigError, RlpruneError
from rlprune.experiments.settings.options import as_dict, check_known, from_dict
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.settings.yaml_file import MAX_YAML_BYTES, read_yaml
from rlprune.experiments.sweeping.names import member_name
from rlprune.support.files import read_text

SHIPPED = Path(__file__).resolve().parents[1] / "studies"
KEYS = ("name", "settings", "over", "except", "nodes")
OWN = ("out", "resume")
"""Values of a run that the sweep chooses."""
KNOWN = {name: item for name, item in TrainConfig.options().items() if name not in OWN}
NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,63}", re.ASCII)
MOST_MEMBERS = 10_000

Values = dict[str, Any]


@dataclass(frozen=True)
class Member:
    """One run of a study.

    Attributes:
        name: of its folder; see :func:`~rlprune.experiments.sweeping.names.member_name`.
        config: its settings, but for where it is written.
    """

    name: str
    config: TrainConfig


@dataclass(frozen=True)
class Study:
    """Runs that differ in a few settings.

    Attributes:
        name: of the study.
        text: the file as it was read.
        members: in a fixed order: the last setting of ``over`` varies fastest.
        nodes: device to the Ray resource that marks the nodes which have it.
    """

    name: str
    text: str
    members: tuple[Member, ...]
    nodes: Mapping[str, str]


def read_study(path: str) -> Study:
    """The study in a file, or one that ships, by name; every member's settings are checked.

    Raises:
        ConfigError: something is no study; it is named, and the nearest known name is offered.
        RlpruneError: a member's settings are wrong; it is named.
    """
    file = _found(path)
    text, values = read_text(file, ConfigError, MAX_YAML_BYTES), read_yaml(file, ConfigError)
    check_known("key of a study", list(values), KEYS)
    name = values.get("name", file.stem)
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ConfigError(f"The name of a study is a word of letters, digits and . + - _; {name!r} came.")
    members = _members(values)
    return Study(name, text, members, _nodes(values.get("nodes", {}), members))


def _found(path: str) -> Path:
    if Path(path).exists():
        return Path(path)
    shipped = {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}
    if path not in shipped:
        names = ", ".join(shipped)
        raise ConfigError(f"A study is a YAML file, or the name of one that ships ({names}); {path!r} came.")
    return shipped[path]


def _members(values: Mapping[str, Any]) -> tuple[Member, ...]:
    common = _settings("settings", values.get("settings", {}))
    over = {key: _choices(key, given) for key, given in _mapping("over", values.get("over", {})).items()}
    if twice := common.keys() & over.keys():
        raise ConfigError(f"A setting is common or varies; {min(twice)!r} stands in settings and in over.")
    if (count := math.prod(map(len, over.values()))) > MOST_MEMBERS:
        raise ConfigError(f"A study has at most {MOST_MEMBERS} members; {count} came. Vary less.")
    varied = [dict(zip(over, picked, strict=True)) for picked in itertools.product(*over.values())]
    kept = _without(varied, common, values.get("except", []))
    members = tuple(_member(common, values) for values in kept)
    _check_apart(members)
    return members


def _mapping(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key!r} of a study maps settings to values; {_kind(value)} came.")
    check_known(f"setting under {key!r}", list(map(str, value)), KNOWN)
    return value


def _settings(key: str, value: Any) -> Values:
    return {name: _listed(name, item) for name, item in _mapping(key, value).items()}


def _choices(name: str, given: Any) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise ConfigError(f"Under 'over' stands a list of values for each setting; {name} has {_kind(given)}.")
    return [_listed(name, item) for item in given]


def _listed(name: str, value: Any) -> Any:
    """One text is enough where a setting is a list of texts."""
    return [value] if KNOWN[name].kind == list[str] and isinstance(value, str) else value


def _kind(value: Any) -> str:
    return "an empty list" if value == [] else "nothing" if value is None else f"a {type(value).__name__}"


def _without(varied: Sequence[Values], common: Values, given: Any) -> list[Values]:
    """What is left of the members after those that are excepted."""
    if not isinstance(given, list):
        raise ConfigError(f"'except' of a study is a list of settings of members; {_kind(given)} came.")
    kept = list(varied)
    for item in given:
        settings = _settings("except", item)
        left = [values for values in kept if not _has({**common, **values}, settings)]
        if len(left) == len(kept):
            raise ConfigError(f"Each entry of 'except' leaves members out; no member has {settings}.")
        kept = left
    if not kept:
        raise ConfigError("A study has at least one member; 'except' leaves none.")
    return kept


def _has(values: Values, some: Values) -> bool:
    return all(name in values and values[name] == value for name, value in some.items())


def _member(common: Values, varied: Values) -> Member:
    """A member whose settings are checked.

    Raises:
        RlpruneError: one is wrong; the member is named.
    """
    from rlprune.experiments.pipeline.running_methods import check_searchers

    name = member_name(varied)
    try:
        config = from_dict(TrainConfig, {**common, **varied})
        config.check()
        check_searchers(config)
    except RlpruneError as reason:
        raise type(reason)(f"Member {name} of the study: {reason}") from reason
    return Member(name, config)


def _check_apart(members: Sequence[Member]) -> None:
    """Refuse members that are equal, and names that a file system may take for one."""
    names: dict[str, Member] = {}
    for member in members:
        other = names.setdefault(member.name.lower(), member)
        if other is member:
            continue
        if other.config == member.config:
            raise ConfigError(f"Members of a study differ; {member.name} comes twice. Give each value once.")
        raise ConfigError(
            f"Members of a study need different names; two are called {member.name}: {_difference(other, member)}."
        )
    settings: dict[tuple[Any, ...], Member] = {}
    for member in members:
        values = tuple(tuple(value) if isinstance(value, list) else value for value in as_dict(member.config).values())
        other = settings.setdefault(values, member)
        if other is not member:
            raise ConfigError(f"Members of a study differ; {other.name} and {member.name} have the same settings.")


def _difference(one: Member, other: Member) -> str:
    return differences(as_dict(one.config), as_dict(other.config))


def differences(one: Values, other: Values) -> str:
    """What differs between two sets of settings, in words."""
    return "; ".join(
        f"{name} {one.get(name)!r} and {other.get(name)!r}" for name in other if one.get(name) != other.get(name)
    )


def _nodes(given: Any, members: Sequence[Member]) -> dict[str, str]:
    if not (isinstance(given, dict) and all(isinstance(value, str) and value for value in given.values())):
        raise ConfigError("'nodes' of a study maps devices to the names of Ray resources, such as cuda: gpu-box.")
    devices = sorted({member.config.device for member in members})
    check_known("device under 'nodes'", list(map(str, given)), devices)
    return given
