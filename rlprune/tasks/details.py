"""What a task tells beside its score, as plain values that a file can hold."""

from __future__ import annotations

import math
from typing import Any

from rlprune.errors import TaskError
from rlprune.tasks.measures import Details

DEEPEST = 2
"""A matrix is a list of lists; nothing is deeper."""


def plain_details(details: Any, name: str) -> Details:
    """Details with plain whole and floating-point numbers alone; what is not finite becomes None.

    Args:
        details: as :meth:`rlprune.tasks.Task.details` returned it; tensors and arrays are taken too.
        name: of the task, for the message.

    Raises:
        TaskError: it is no dict of names to numbers, lists of numbers, or matrices.
    """
    if not isinstance(details, dict) or not all(isinstance(key, str) for key in details):
        raise TaskError(
            f"The details of task {name!r} must be a dict of names to numbers; {type(details).__name__} came. "
            "Correct Task.details."
        )
    return {key: _plain(value, f"{key!r} in the details of task {name!r}", DEEPEST) for key, value in details.items()}


def _plain(value: Any, what: str, depth: int) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple) and depth:
        return [_plain(item, what, depth - 1) for item in value]
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    raise TaskError(
        f"{what} must be a number, a list of numbers, or a list of such lists; {value!r:.40} came. "
        "Correct Task.details."
    )
