"""What fields of a result declare of themselves for ``rlprune validate``, which computes them again."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, get_type_hints


class Within(Enum):
    """How far what is computed again may be from what was written."""

    EXACT = auto()
    SUMS = auto()
    """Of the same numbers in another order."""
    SEARCH_SCORE = auto()
    """On the samples of the search; a few of them may turn on another machine."""
    VALIDATION_SCORE = auto()
    TEST_SCORE = auto()
    DIVERGENCE = auto()
    REWARD = auto()
    LATER = auto()
    """Seconds that went on for a while after they were noted."""


@dataclass(frozen=True)
class Checked:
    """A field that can be computed again; of a mapping, each of its values.

    Attributes:
        name: what is stated, for people; of a mapping without one, its keys.
        within: how far it may be off.
        of: of what; else that of the record it stands in, or of a mapping with a name, its keys.
        needs_profile: it is not known where the device profile cannot be used.
        since_later: runs of earlier versions do not have it.
        why: what it is computed again from, for people; else the reason of the tolerance is told.
    """

    name: str
    within: Within = Within.EXACT
    of: str = ""
    needs_profile: bool = False
    since_later: bool = False
    why: str = ""


@functools.cache
def checked_fields(record: type[Any]) -> dict[str, Checked]:
    """Field to what it declares."""
    hints = get_type_hints(record, include_extras=True)
    found = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: one for name, told in found.items() for one in told if isinstance(one, Checked)}
