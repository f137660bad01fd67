"""Latency of plans that drop blocks and compute layers in int8.

    latency = (float(widths) - sum over dropped blocks b of share[b] * own[b](widths))
              * (1 - sum over layers l in int8 of gain[l])

``float`` is what the profile promises of the widths in float, ``own[b]`` the part of it that stands in the block.
Shares lie in [0, 1] and gains are not negative: so latency never falls when a block comes back, a layer returns to
float, or a width rises. Both are fitted to plans that were measured; a layer that int8 makes slower has no gain, and is
not computed so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from rlprune.devices.predictor import LatencyPredictor, timed_layers
from rlprune.devices.records import ErrorSummary
from rlprune.network import FloatArray, IntArray
from rlprune.space import BoolArray, Space

LEAST_GAIN = 0.005
"""Of the whole latency: what is less is noise, and int8 is not worth its loss."""
MOST_GAIN = 0.95


@dataclass(frozen=True)
class MixedPlan:
    """A measured plan.

    Attributes:
        widths: channels of every group.
        dropped, int8: names of blocks and layers.
        latency_ms: on the scale of the profile.
        held_out: the fit did not see it.
    """

    widths: tuple[int, ...]
    dropped: tuple[str, ...]
    int8: tuple[str, ...]
    latency_ms: float
    held_out: bool


@dataclass(frozen=True)
class MixedLatency:
    """What was fitted.

    Attributes:
        shares: block -> share of its own time that goes with it.
        gains: layer -> share of the whole latency that int8 saves there; 0 where it saves nothing.
        held_out: error on plans the fit never saw.
        measured: all plans.
    """

    shares: Mapping[str, float]
    gains: Mapping[str, float]
    held_out: ErrorSummary
    measured: tuple[MixedPlan, ...] = ()

    def paying(self) -> tuple[str, ...]:
        """Layers that int8 makes faster."""
        return tuple(name for name, gain in self.gains.items() if gain > 0)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "shares": dict(self.shares),
            "gains": dict(self.gains),
            "held_out": asdict(self.held_out),
            "measured": [asdict(plan) for plan in self.measured],
        }


class OwnTime:
    """The part of the latency in float that stands in each block of a space."""

    def __init__(self, space: Space, predictor: LatencyPredictor) -> None:
        timed = [layer.name for layer in timed_layers(space.network)]
        groups = [group.name for group in space.network.groups]
        self._by_part = predictor.bind(space.network).by_part
        self._layers = _membership(timed, [block.layers for block in space.blocks])
        self._groups = _membership(groups, [block.groups for block in space.blocks])

    def __call__(self, widths: IntArray) -> FloatArray:
        """Milliseconds of each block, ``[N, G] -> [N, B]``."""
        of_layers, of_groups = self._by_part(widths)
        return np.asarray(of_layers @ self._layers.T + of_groups @ self._groups.T)


def _membership(names: Sequence[str], sets: Sequence[Sequence[str]]) -> FloatArray:
    return np.array([[float(name in own) for name in names] for own in sets]).reshape(len(sets), len(names))


def mixed_latency(base: FloatArray, own: FloatArray, dropped: BoolArray, factor: FloatArray) -> FloatArray:
    """The formula of this module.

    Args:
        base: in float, ``[N]``.
        own: shares times own times, ``[N, B]``.
        dropped: ``[N, B]``.
        factor: what int8 leaves, ``[N]``.
    """
    return np.asarray((base - (own * dropped).sum(axis=1)) * factor)


def fit_mixed(
    space: Space, predictor: LatencyPredictor, plans: Sequence[MixedPlan], layers: Sequence[str]
) -> MixedLatency:
    """Shares and gains of least relative error on the plans that are not held out.

    Args:
        space: its blocks are those that may be dropped.
        layers: that may be computed in int8.
    """
    blocks = list(space.blocks.names)
    widths = np.array([plan.widths for plan in plans], dtype=np.int64)
    latency = np.array([plan.latency_ms for plan in plans])
    out = np.array([plan.held_out for plan in plans])
    dropped = _given(blocks, [plan.dropped for plan in plans])
    int8 = _given(layers, [plan.int8 for plan in plans])
    base, own = predictor.bind(space.network)(widths), OwnTime(space, predictor)(widths)

    def predicted(x: FloatArray) -> FloatArray:
        factor = 1.0 - int8 @ x[len(blocks) :]
        return mixed_latency(base, own * x[: len(blocks)], dropped > 0, np.maximum(factor, 1.0 - MOST_GAIN))

    count = len(blocks) + len(layers)
    if count:
        upper = np.array([1.0] * len(blocks) + [MOST_GAIN / max(len(layers), 1)] * len(layers))
        start = np.array([0.95] * len(blocks) + [1e-3] * len(layers))
        fitted = least_squares(
            lambda x: (predicted(x) / latency - 1)[~out],
            start,
            bounds=(np.zeros(count), upper),
            loss="soft_l1",
            f_scale=0.02,
        ).x
    else:
        fitted = np.zeros(0)
    fitted[len(blocks) :] = np.where(fitted[len(blocks) :] < LEAST_GAIN, 0.0, fitted[len(blocks) :])
    errors = predicted(fitted) / latency - 1
    return MixedLatency(
        {name: float(share) for name, share in zip(blocks, fitted[: len(blocks)], strict=True)},
        {name: float(gain) for name, gain in zip(layers, fitted[len(blocks) :], strict=True)},
        ErrorSummary.of(errors[out] if out.any() else errors),
        tuple(plans),
    )


def _given(names: Sequence[str], sets: Sequence[Sequence[str]]) -> FloatArray:
    return np.array([[float(name in own) for name in names] for own in sets]).reshape(len(sets), len(names))
