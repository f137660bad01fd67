"""Reading the YAML file of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from rlprune.errors import ConfigError

SHIPPED = Path(__file__).resolve().parents[1] / "studies"
MOST_BYTES = 2**18
DEEPEST = 8


def read_study_file(path: str) -> tuple[str, str, dict[str, Any]]:
    """Name, text and content of a study: a file, or the name of one that ships.

    Raises:
        ConfigError: there is none, it is too large, or it is no YAML mapping.
    """
    found = _found(path)
    text = _text(found)
    try:
        _check_plain(found, text)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as reason:
        if isinstance(reason, ConfigError):
            raise
        raise ConfigError(f"{found} is not valid YAML: {' '.join(str(reason).split())}.") from reason
    if not isinstance(values, dict):
        raise ConfigError(f"A study maps name, settings and over to values; {found} holds {type(values).__name__}.")
    return found.stem, text, {str(name): value for name, value in values.items()}


def _found(path: str) -> Path:
    if Path(path).is_file():
        return Path(path)
    shipped = {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}
    if path not in shipped:
        raise ConfigError(
            f"A study is a YAML file, or the name of one that ships ({', '.join(shipped)}); {path!r} came."
        )
    return shipped[path]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigError(f"A study has at most {MOST_BYTES} bytes; {path} has more. Is this the right file?")
        return data.decode()
    except OSError as reason:
        raise ConfigError(f"Cannot read {path}: {reason.strerror or reason}.") from reason
    except UnicodeDecodeError as reason:
        raise ConfigError(f"{path} is not UTF-8 text ({reason}). Is this the right file?") from reason


def _check_plain(path: Path, text: str) -> None:
    """Refuse aliases, which make huge values of short texts, deep nesting, and keys that come twice."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ConfigError(f"A study is nested {DEEPEST} deep at most; {path} is deeper.")
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"A study is written out; {path} has an alias (*{event.anchor}).")
    _check_once(path, yaml.compose(text, Loader=yaml.SafeLoader))


def _check_once(path: Path, node: yaml.Node | None) -> None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    keys = [str(key.value) for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigError(f"A key stands once; {path} has {twice!r} twice.")
    items = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in pairs]
    for item in items:
        _check_once(path, item)
