"""Actions: what a number in [-1, 1] means for a group.

An action is a vector with one entry, the keep ratio. The mapping is piecewise linear around the uniform plan's own
choice: -1 is the smallest allowed keep ratio, 0 what the uniform plan keeps, +1 everything. So the zero action is the
uniform plan at any budget, and exploring around it is exploring on both sides of the budget; AMC's actions are
sparsities of the dense network, and random ones stay far below it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from rlprune.errors import ActionError

Action = npt.NDArray[np.float32]

ACTION_NAMES = ("keep_ratio",)
_TOLERANCE = 1e-6


def action_space() -> spaces.Box:
    """``Box(-1, 1)``, one entry for each part of a decision."""
    return spaces.Box(-1.0, 1.0, shape=(len(ACTION_NAMES),), dtype=np.float32)


def decode(action: npt.ArrayLike, low: float, centre: float) -> float:
    """The keep ratio that an action asks for.

    Args:
        action: one entry in [-1, 1].
        low: the group's smallest allowed keep ratio.
        centre: the uniform plan's keep ratio of the group, in [low, 1].

    Raises:
        ActionError: wrong shape, NaN, or more than 1e-6 outside the box.
    """
    entry = _checked(action)
    return centre + entry * ((1.0 - centre) if entry > 0 else (centre - low))


def encode(keep_ratio: float, low: float, centre: float) -> Action:
    """The action that :func:`decode` reads as ``keep_ratio``; its inverse.

    Where the uniform plan keeps as little as is allowed, or everything, one side of the box means the same keep ratio
    as 0, and 0 is given.
    """
    room = (1.0 - centre) if keep_ratio > centre else (centre - low)
    entry = (keep_ratio - centre) / room if room > 0 else 0.0
    return np.array([min(max(entry, -1.0), 1.0)], dtype=np.float32)


def _checked(action: npt.ArrayLike) -> float:
    values = np.asarray(action, dtype=np.float64)
    if values.shape != (len(ACTION_NAMES),):
        raise ActionError(
            f"An action has the shape ({len(ACTION_NAMES)},), one entry for {ACTION_NAMES[0]}, not {values.shape}. "
            "Give [0.5], say."
        )
    entry = float(values[0])
    if not abs(entry) <= 1.0 + _TOLERANCE:  # NaN compares false
        raise ActionError(f"An action lies in [-1, 1], not {entry}. Clip it, or look for NaN in the agent's weights.")
    return min(max(entry, -1.0), 1.0)
