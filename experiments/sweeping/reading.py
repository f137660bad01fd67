"""Reading the YAML file of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlprune.errors import ConfigError
from rlprune.experiments.settings.yaml_file import MAX_YAML_BYTES, read_yaml
from rlprune.support.files import read_text

SHIPPED = Path(__file__).resolve().parents[1] / "studies"


def read_study_file(path: str) -> tuple[str, str, dict[str, Any]]:
    """Name, text and content of a study: a file, or the name of one that ships.

    Raises:
        ConfigError: there is none, or it cannot be read; see :func:`read_yaml`.
    """
    found = _found(path)
    return found.stem, read_text(found, ConfigError, MAX_YAML_BYTES), read_yaml(found, ConfigError)


def _found(path: str) -> Path:
    if Path(path).exists():
        return Path(path)
    shipped = {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}
    if path not in shipped:
        names = ", ".join(shipped)
        raise ConfigError(f"A study is a YAML file, or the name of one that ships ({names}); {path!r} came.")
    return shipped[path]
