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

from rlprune.devices.fields import ADVICE, Fields
from rlprune.devices.predictor import LatencyPredictor, timed_layers
from rlprune.devices.records import ErrorSummary
from rlprune.errors import ProfileError
from rlprune.network import FloatArray, IntArray
from rlprune.space import BoolArray, Space

LEAST_GAIN = 0.005
"""Of the whole latency: what is less is noise, and int8 is not worth its loss."""
MOST_GAIN = 0.95
RIDGE = 1e-3


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
        int8_ratio: latency to that in float of the probe in which most layers computed in int8; None without probes.
    """

    shares: Mapping[str, float]
    gains: Mapping[str, float]
    held_out: ErrorSummary
    measured: tuple[MixedPlan, ...] = ()
    int8_ratio: float | None = None

    def paying(self) -> tuple[str, ...]:
        """Layers that int8 makes faster."""
        return tuple(name for name, gain in self.gains.items() if gain > 0)

    def notes(self) -> list[str]:
        """What a user must know, in sentences."""
        if self.int8_ratio is None or self.paying():
            return []
        return [
            f"int8 makes no layer faster here: with most layers in int8 the network takes {self.int8_ratio:.2f} times "
            "as long. Weights of 8 and 4 bits are stored so, and compute in float."
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "shares": dict(self.shares),
            "gains": dict(self.gains),
            "held_out": asdict(self.held_out),
            "measured": [
                {**asdict(p), "widths": list(p.widths), "dropped": list(p.dropped), "int8": list(p.int8)}
                for p in self.measured
            ],
            "int8_ratio": self.int8_ratio,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> MixedLatency:
        """Check and read the JSON form.

        Raises:
            ProfileError: a key is missing, or a value is not of its kind.
        """
        shares, gains = (fields.inner(name) for name in ("shares", "gains"))
        error = fields.inner("held_out")
        found = cls(
            {name: shares.number(name) for name in shares.names()},
            {name: gains.number(name) for name in gains.names()},
            ErrorSummary(error.number("median"), error.number("p90"), error.number("worst"), error.integer("plans")),
            tuple(_plan(item) for item in fields.objects("measured")),
            fields.optional("int8_ratio"),
        )
        if max(found.shares.values(), default=0.0) > 1 or sum(found.gains.values()) >= 1:
            raise ProfileError(f"Shares of blocks lie in [0, 1], and gains of int8 add up to less than 1. {ADVICE}")
        return found


def _plan(fields: Fields) -> MixedPlan:
    return MixedPlan(
        fields.integers("widths"),
        fields.texts("dropped"),
        fields.texts("int8"),
        fields.number("latency_ms", positive=True),
        fields.flag("held_out"),
    )


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


def mixed_latency(base: FloatArray, own: FloatArray, dropped: BoolArray, factor: FloatArray) -> FloatArray:
    """The formula of this module.

    Args:
        base: in float, ``[N]``.
        own: shares times own times, ``[N, B]``.
        dropped: ``[N, B]``.
        factor: what int8 leaves, ``[N]``.
    """
    return np.asarray((base - (own * dropped).sum(axis=1)) * factor)


@dataclass(frozen=True, eq=False)
class _Data:
    """Measured plans as matrices."""

    base: FloatArray
    own: FloatArray
    dropped: FloatArray
    int8: FloatArray
    latency: FloatArray
    held_out: BoolArray

    @classmethod
    def of(cls, space: Space, predictor: LatencyPredictor, plans: Sequence[MixedPlan], layers: Sequence[str]) -> _Data:
        widths = np.array([plan.widths for plan in plans], dtype=np.int64)
        return cls(
            predictor.bind(space.network)(widths),
            OwnTime(space, predictor)(widths),
            _membership(space.blocks.names, [plan.dropped for plan in plans]),
            _membership(layers, [plan.int8 for plan in plans]),
            np.array([plan.latency_ms for plan in plans]),
            np.array([plan.held_out for plan in plans]),
        )

    def errors(self, shares: FloatArray, gains: FloatArray) -> FloatArray:
        """Relative errors, ``[N]``."""
        factor = np.maximum(1.0 - self.int8 @ gains, 1.0 - MOST_GAIN)
        return np.asarray(mixed_latency(self.base, self.own * shares, self.dropped > 0, factor) / self.latency - 1)


def fit_gains(
    space: Space, predictor: LatencyPredictor, plans: Sequence[MixedPlan], layers: Sequence[str]
) -> dict[str, float]:
    """What int8 saves in each layer, as a share of the whole latency; 0 where it saves nothing that can be told.

    Least squares without bounds, drawn a little towards 0: a layer that int8 makes slower must not hide in another.
    """
    data = _Data.of(space, predictor, plans, layers)
    saved = 1.0 - data.latency / data.base
    ridge = RIDGE * len(plans) * np.eye(len(layers))
    gains = np.linalg.solve(data.int8.T @ data.int8 + ridge, data.int8.T @ saved)
    return {name: float(gain) if gain > LEAST_GAIN else 0.0 for name, gain in zip(layers, gains, strict=True)}


def int8_ratio(space: Space, predictor: LatencyPredictor, plans: Sequence[MixedPlan]) -> float | None:
    """Latency to that in float of the plan with most layers in int8; None where there is none."""
    most = max(plans, key=lambda plan: len(plan.int8), default=None)
    if most is None or not most.int8:
        return None
    return most.latency_ms / float(predictor.bind(space.network)(np.array([most.widths], dtype=np.int64))[0])


def fit_mixed(
    space: Space, predictor: LatencyPredictor, plans: Sequence[MixedPlan], layers: Sequence[str]
) -> MixedLatency:
    """Shares and gains of least relative error on the plans that are not held out.

    Args:
        space: its blocks are those that may be dropped.
        layers: those that int8 makes faster.
    """
    data, blocks = _Data.of(space, predictor, plans, layers), list(space.blocks.names)
    cut, count = len(blocks), len(blocks) + len(layers)
    upper = np.array([1.0] * cut + [MOST_GAIN / max(len(layers), 1)] * len(layers))
    start = np.array([0.95] * cut + [1e-3] * len(layers))

    def residuals(x: FloatArray) -> FloatArray:
        return data.errors(x[:cut], x[cut:])[~data.held_out]

    fitted = start
    if count:
        fitted = least_squares(residuals, start, bounds=(np.zeros(count), upper), loss="soft_l1", f_scale=0.02).x
    errors = data.errors(fitted[:cut], fitted[cut:])
    return MixedLatency(
        {name: float(share) for name, share in zip(blocks, fitted[:cut], strict=True)},
        {name: float(gain) for name, gain in zip(layers, fitted[cut:], strict=True)},
        ErrorSummary.of(errors[data.held_out]),
        tuple(plans),
    )


def _membership(names: Sequence[str], sets: Sequence[Sequence[str]]) -> FloatArray:
    """1 where a set holds a name, ``[sets, names]``."""
    return np.array([[float(name in own) for name in names] for own in sets]).reshape(len(sets), len(names))
