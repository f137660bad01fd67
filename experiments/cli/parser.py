"""From the words of a command line, and YAML, to settings; what is wrong with them is said in the words of flags."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from rlprune.errors import ConfigError, nearest
from rlprune.experiments.cli.verbs import Verb
from rlprune.experiments.settings.options import GROUPS, Option, as_dict, check_kinds, from_dict
from rlprune.experiments.settings.verb_configs import ReplayConfig, TrainConfig
from rlprune.experiments.settings.yaml_file import read_yaml

MOST_SHOWN = 12
"""Where a verb has more flags, ``--help`` lists those that a user needs first, and ``--help-all`` every one."""
ARGUMENTS = "Arguments"
COMMON = {
    "--config": "YAML file with these settings, by name; flags win over it",
    "--print-config": "print the settings as YAML and stop",
    "--json": "print one JSON object on stdout, all else on stderr",
}
"""Flags of every verb."""


def parse(verb: Verb, argv: Sequence[str]) -> tuple[Any, bool]:
    """Settings from flags over ``--config`` YAML over defaults, and whether ``--json`` was asked for.

    Raises:
        ConfigError: an unknown flag or YAML key, or a value of the wrong kind.
        SystemExit: help was asked for, or the settings themselves.
    """
    options = verb.config.options()
    words = _words(verb, argv)
    values: dict[str, Any] = {}
    for path in words.get("config", []):
        stated = read_yaml(path, ConfigError)
        check_kinds(verb.config, stated, f"{path}: ")
        values |= {name: _as_float(options[name], value) for name, value in stated.items()}
    values |= {name: _value(options[name], given) for name, given in words.items() if name in options}
    missing = [item for item in options.values() if item.positional and item.kind is str and item.name not in values]
    if missing:
        needed = f"{_metavar(missing[0])} ({missing[0].help})"
        raise ConfigError(f"rlprune {verb.name} needs {needed}; none came. {_see(verb)}")
    config = from_dict(verb.config, values)
    if "print_config" in words:
        print(yaml.safe_dump(as_dict(config), sort_keys=False), end="")
        raise SystemExit(0)
    return config, "json" in words


def sections(verb: Verb, everything: bool) -> dict[str, list[Option]]:
    """Title to settings, as help lists them: those that a user needs first, or every one."""
    options = verb.config.options().values()
    flags = [option for option in options if not option.positional]
    found: dict[str, list[Option]] = defaultdict(list)
    for option in options:
        if everything or option.positional or option.first or len(flags) <= MOST_SHOWN:
            found[ARGUMENTS if option.positional else option.group].append(option)
    return {title: found[title] for title in (ARGUMENTS, *GROUPS) if found[title]}


def _words(verb: Verb, argv: Sequence[str]) -> Mapping[str, Any]:
    """What was given, by setting, as it was written."""
    parser = _parser(verb, everything="--help-all" in argv)
    try:
        found, unknown = parser.parse_known_intermixed_args(argv)
    except argparse.ArgumentError as reason:
        flag = str(reason.argument_name)
        values = [word.partition("=")[2] for word in argv if word.startswith(f"{flag}=")]
        came = f"takes no value; {values[0]!r} came" if values else "needs a value; none came"
        raise ConfigError(f"{flag} {came}.") from reason
    if unknown:
        raise ConfigError(_unknown(verb, unknown[0]))
    return vars(found)


def _parser(verb: Verb, everything: bool) -> argparse.ArgumentParser:
    """Splits words into settings; all values are texts, so that everything about them is said in one way."""
    options = verb.config.options().values()
    shown = sections(verb, everything)
    arguments = "".join(f" {_metavar(option)}" for option in options if option.positional)
    parser = argparse.ArgumentParser(
        prog=f"rlprune {verb.name}",
        usage=f"rlprune {verb.name}{arguments} [flags]",
        description=f"{verb.summary.capitalize()}.",
        epilog=f"Example:  {verb.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    for title, listed in shown.items():
        group = parser.add_argument_group(title)
        for option in listed:
            _add(group, option, _help(option))
    hidden = [option for option in options if not any(option in listed for listed in shown.values())]
    for option in hidden:
        _add(parser, option, argparse.SUPPRESS)
    group = parser.add_argument_group("Every verb")
    group.add_argument("--config", action="append", metavar="FILE", help=COMMON["--config"])
    for flag in ("--print-config", "--json"):
        group.add_argument(flag, action="store_true", help=COMMON[flag])
    group.add_argument("-h", "--help", action="help", help="print this and stop")
    more = f"tell the other {len(hidden)} flags too" if hidden else argparse.SUPPRESS
    group.add_argument("--help-all", action="help", help=more)
    return parser


def _add(group: argparse._ActionsContainer, option: Option, text: str) -> None:
    if option.positional:
        nargs = "*" if option.kind == list[str] else "?"
        group.add_argument(option.name, nargs=nargs, metavar=_metavar(option), help=text)
    elif option.kind is bool:
        group.add_argument(option.flag, action="store_true", help=text)
    else:
        action = "append" if option.kind == list[str] else "store"
        group.add_argument(option.flag, action=action, metavar=_metavar(option), help=text)


def _metavar(option: Option) -> str:
    if option.positional:
        return option.name.upper()
    return {int: "N", float: "X"}.get(option.kind, "VALUE")


def _help(option: Option) -> str:
    default = f" (default: {option.default_words})" if option.default_words else ""
    return f"{option.meaning}{default}".replace("%", "%%")


def _value(option: Option, given: Any) -> Any:
    """The value that was written.

    Raises:
        ConfigError: it is of another kind.
    """
    if option.kind is bool:
        return True
    if option.kind == list[str]:
        return given if option.positional else [item for text in given for item in _items(text)]
    if option.optional and given == "null":
        return None
    try:
        value = option.kind(given)
    except ValueError:
        value = None
    if value is None or not option.admits(value):
        raise ConfigError(f"{option.flag} must be {option.words}; {given!r:.80} came.")
    return value


def _as_float(option: Option, value: Any) -> Any:
    """YAML writes the number 12.0 as 12 too."""
    return float(value) if option.kind is float and value is not None else value


def _items(text: str) -> list[str]:
    """One value, or the values of a list that is written out: ``[a, b]``."""
    if not (text.startswith("[") and text.endswith("]")):
        return [text]
    return [part.strip().strip("'\"") for part in text[1:-1].split(",") if part.strip()]


def _unknown(verb: Verb, word: str) -> str:
    if not word.startswith("-"):
        return f"rlprune {verb.name} has no use for {word!r}. Did you forget the flag before it? {_see(verb)}"
    name = word.partition("=")[0]
    if verb.config is ReplayConfig and name in _flags(TrainConfig.options()):
        return f"A policy is replayed with the settings of its run; {name} came. Leave it out, or train with it."
    flags = [*COMMON, *_flags(verb.config.options())]
    return f"rlprune {verb.name} has no flag {name}.{nearest(name, flags, 0.6)} {_see(verb)}"


def _flags(options: Mapping[str, Option]) -> list[str]:
    return [option.flag for option in options.values() if not option.positional]


def _see(verb: Verb) -> str:
    return f"See rlprune {verb.name} --help."
