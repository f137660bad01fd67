"""A seal on JSON files of measurements: what was edited by hand is no measurement any more."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from rlprune.errors import ProfileError

KEY = "digest"


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` with the SHA-256 of everything else in it: a guard against edits and accidents, not against forgers."""
    content = {key: item for key, item in value.items() if key != KEY}
    return {**content, KEY: _digest(content)}


def check_seal(value: dict[str, Any], origin: str) -> None:
    """Refuse a file whose content is not what was sealed.

    Raises:
        ProfileError: the seal is missing or does not fit.
    """
    if value.get(KEY) != sealed(value)[KEY]:
        raise ProfileError(
            f"{origin} must be as it was written, its {KEY!r} does not fit: it was edited or damaged. Measure it again."
        )


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
