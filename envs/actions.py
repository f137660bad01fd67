"""Actions: what numbers in [-1, 1] mean for a unit.

An action is a vector with one entry for each kind of decision. There are two ways to read it.

``ratio``, AMC's: an entry says how much is kept. The mapping is piecewise linear around the filled
uniform plan's own choice: -1 is the harshest level, 0 what the filled plan has, +1 the level that changes nothing. So
the zero action is the filled plan at any budget, and exploring around it is exploring on both sides of the budget;
AMC's actions are sparsities of the dense network, and random ones stay far below it. Where a unit has no choice of a
kind the entry does nothing: it is masked, and executed as 0.

``price``: an entry corrects what the unit is expected to lose, by a factor between exp(-2) and exp(2); see
:mod:`rlprune.envs.pricing`. The zero action is the probe plan, budgets are always met, and every small change counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from rlprune.choices.choice import Kind
from rlprune.errors import ActionError

Action = npt.NDArray[np.float32]

ENTRIES: dict[Kind, str] = {
    "depth": "keep_block",
    "channels": "keep_ratio",
    "weights": "density",
    "bits": "precision",
}
Meaning = Literal["ratio", "price"]
MEANINGS: tuple[Meaning, ...] = get_args(Meaning)
PRICES: dict[Kind, str] = {kind: f"price_of_{kind}" for kind in ENTRIES}
CHANNELS: tuple[Kind, ...] = ("channels",)
_TOLERANCE = 1e-6


def action_names(kinds: Sequence[Kind] = CHANNELS, meaning: Meaning = "ratio") -> tuple[str, ...]:
    """Names of the entries of an action, one for each kind."""
    return tuple((ENTRIES if meaning == "ratio" else PRICES)[kind] for kind in kinds)


def action_space(kinds: Sequence[Kind] = CHANNELS) -> spaces.Box:
    """``Box(-1, 1)``, one entry for each kind of decision."""
    return spaces.Box(-1.0, 1.0, shape=(len(kinds),), dtype=np.float32)


def entries_of(action: npt.ArrayLike, kinds: Sequence[Kind] = CHANNELS) -> dict[Kind, float]:
    """An action as one number in [-1, 1] for each kind.

    Raises:
        ActionError: wrong shape, NaN, or more than 1e-6 outside the box.
    """
    values = np.asarray(action, dtype=np.float64)
    if values.shape != (len(kinds),):
        raise ActionError(
            f"An action has the shape ({len(kinds)},), one entry for {', '.join(action_names(kinds))}, not "
            f"{values.shape}. Give {[0.5] * len(kinds)}, say."
        )
    for entry in values:
        if not abs(entry) <= 1.0 + _TOLERANCE:  # NaN compares false
            raise ActionError(
                f"An action lies in [-1, 1], not {float(entry)}. Clip it, or look for NaN in the agent's weights."
            )
    return {kind: min(max(float(entry), -1.0), 1.0) for kind, entry in zip(kinds, values, strict=True)}


def decode(entry: float, low: float, centre: float) -> float:
    """The share (a keep ratio, for channels) that an entry asks for.

    Args:
        entry: in [-1, 1].
        low: share of the harshest level.
        centre: the filled plan's share, in [low, 1].
    """
    return centre + entry * ((1.0 - centre) if entry > 0 else (centre - low))


def encode(share: float, low: float, centre: float) -> float:
    """The entry that :func:`decode` reads as ``share``; its inverse.

    Where the filled plan keeps as little as is allowed, or everything, one side of the box means the same share as 0,
    and 0 is given.
    """
    room = (1.0 - centre) if share > centre else (centre - low)
    entry = (share - centre) / room if room > 0 else 0.0
    return float(np.float32(min(max(entry, -1.0), 1.0)))
