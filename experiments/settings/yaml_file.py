"""YAML from outside: settings and nothing else. Read by the safe loader, small, without aliases, each name once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from rlprune.errors import RlpruneError
from rlprune.support.files import check_tree, read_text

CONFIG = "config.yaml"
"""The settings of a run, in its folder."""
MAX_YAML_BYTES = 2**16


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases, which let a few lines stand for more than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*name): write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = Counter(name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode))
        if twice := [name for name, count in names.items() if count > 1]:
            raise yaml.YAMLError(f"it has {twice[0]!r} twice; each name stands once")
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path, error: type[RlpruneError]) -> dict[str, Any]:
    """Settings by name.

    Raises:
        error: the file is missing, over 64 KiB, no YAML, has aliases or tags of Python, or holds no mapping of names.
    """
    text = read_text(path, error, MAX_YAML_BYTES)
    try:
        values = _Loader(text).get_single_data()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as reason:
        raise error(f"{path} must be plain YAML, such as 'episodes: 300'; {_told(reason)}.") from reason
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise error(f"{path} must hold settings by name, such as 'episodes: 300'. Is it a file of settings?")
    check_tree(values, str(path), error)
    return values


def _told(reason: Exception) -> str:
    """What the parser found, with the line, where it knows one."""
    if isinstance(reason, yaml.MarkedYAMLError) and reason.problem_mark is not None:
        return f"line {reason.problem_mark.line + 1}: {reason.problem}"
    return str(reason)
