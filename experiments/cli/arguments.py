"""From a settings class to a parser, and from a command line (and YAML) to settings."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import Any, TypeVar, get_type_hints

from rlprune.errors import ConfigError
from rlprune.experiments.cli.mistakes import Fields, explained
from rlprune.experiments.settings.config import check_values, from_dict
from rlprune.experiments.settings.options import default_of, flag_of

T = TypeVar("T")


def parse(verb: str, kind: type[T], summary: str, example: str, argv: Sequence[str]) -> tuple[T, bool]:
    """Settings from flags over ``--config`` YAML over defaults, and whether ``--json`` was asked for.

    Raises:
        ConfigError: an unknown flag or YAML key, or a value of the wrong kind.
        SystemExit: help was asked for.
    """
    from jsonargparse import ArgumentError

    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    parser = _parser(verb, kind, fields, summary, example)
    try:
        values = parser.parse_args(_gathered(fields, argv)).as_dict()
    except ArgumentError as reason:
        raise ConfigError(explained(str(reason), verb, fields)) from reason
    as_json = bool(values.pop("json"))
    return from_dict(kind, {field.name: values[field.name] for field in fields}), as_json


def _parser(verb: str, kind: type[Any], fields: Fields, summary: str, example: str) -> Any:
    from jsonargparse import ActionConfigFile, ArgumentParser  # type: ignore[attr-defined]

    from rlprune.experiments.settings.yaml_file import read_yaml

    class ConfigFile(ActionConfigFile):
        """Takes files only that :func:`read_yaml` takes, with values of their kinds."""

        @staticmethod
        def apply_config(parser: Any, cfg: Any, dest: str, value: str) -> None:
            check_values(kind, read_yaml(value, ConfigError), f"{value}: ")
            ActionConfigFile.apply_config(parser, cfg, dest, value)

    parser = ArgumentParser(
        prog=f"rlprune {verb}",
        description=summary,
        epilog=f"Example:  {example}",
        exit_on_error=False,
        allow_abbrev=False,
        default_meta=False,
    )
    parser.add_argument("--config", action=ConfigFile, help="YAML file with these settings; flags win over it")
    hints = get_type_hints(kind)
    for field in fields:
        text = field.metadata["help"]
        if field.metadata["positional"] and _is_list(field):
            parser.add_argument(field.name, type=str, nargs="*", help=text)
        elif field.metadata["positional"]:
            parser.add_argument(field.name, type=hints[field.name], help=text)
        elif hints[field.name] is bool:
            parser.add_argument(flag_of(field.name), action="store_true", help=text)
        else:
            given = default_of(field)
            metavar = "VALUE" if isinstance(given, list) else None
            parser.add_argument(flag_of(field.name), type=hints[field.name], default=given, metavar=metavar, help=text)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, all else on stderr")
    return parser


def _is_list(field: dataclasses.Field[Any]) -> bool:
    return str(field.type) == "list[str]"


def _gathered(fields: Fields, argv: Sequence[str]) -> list[str]:
    """The command line in an order that the parser can read.

    Values of a positional list come first, wherever they stood; every repeated list flag is written once, as a JSON
    list, at the end.
    """
    lists = {flag_of(field.name) for field in fields if _is_list(field) and not field.metadata["positional"]}
    switches = {"--json", "--help", *(flag_of(field.name) for field in fields if str(field.type) == "bool")}
    scattered = any(_is_list(field) and field.metadata["positional"] for field in fields)
    found: dict[str, list[str]] = {}
    first: list[str] = []
    rest: list[str] = []
    tokens = iter(argv)
    for token in tokens:
        name, equals, value = token.partition("=")
        if name in lists:
            given = value if equals else next(tokens, None)
            if given is None:
                raise ConfigError(f"{name} needs a value; none came.")
            found.setdefault(name, []).extend(_items(name, given))
        elif scattered and not token.startswith("-"):
            first.append(token)
        else:
            takes_value = scattered and token.startswith("--") and not equals and token not in switches
            rest += [token, *itertools.islice(tokens, int(takes_value))]
    return first + rest + [f"{name}={json.dumps(values)}" for name, values in found.items()]


def _items(name: str, given: str) -> list[str]:
    """One value, or the values of a list that is written out: ``[a, b]``."""
    if not (given.startswith("[") and given.endswith("]")):
        return [given]
    return [part.strip().strip("'\"") for part in given[1:-1].split(",") if part.strip()]
