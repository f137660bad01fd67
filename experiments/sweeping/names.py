"""Names of files and folders, made of settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LONGEST = 100
ONLY = "run"


def member_name(varied: Mapping[str, Any]) -> str:
    """A readable name made of the settings that vary: ``ddpg-latency0.5-seed0``."""
    return shortened("-".join(word(name, value) for name, value in varied.items()) or ONLY)


def word(name: str, value: Any) -> str:
    """A setting as a part of a name: texts stand for themselves, other values after what they are."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        return _plain(f"{name}{value}")
    parts = (Path(text).stem if text.endswith(".json") else text for text in texts)
    return _plain("+".join(parts)) or f"{name}-none"


def _plain(text: str) -> str:
    """Letters, digits and signs that every file system takes."""
    return re.sub(r"[^\w.+-]+", ".", text.replace("=", ""), flags=re.ASCII).strip(".")


def shortened(name: str) -> str:
    """The name; a long one is cut, with its digest in place of the rest."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{digest(name)}"


def digest(value: Any) -> str:
    """Eight hexadecimal digits that tell plain values apart."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
