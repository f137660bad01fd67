"""Latency of plans that drop blocks and compute layers in int8.

    latency = float(widths) - sum over dropped blocks b of share[b] * own[b](widths) - strength * saving(layers, widths)

``float`` is what the profile promises of the widths in float, ``own[b]`` the part of it that stands in the block, and
``saving`` what int8 saves in the layers that are left (:mod:`rlprune.devices.int8_model`). Shares lie in [0, 1] and the
strength below all of them: so latency never falls when a block comes back, a layer returns to float, or a width rises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear

from rlprune.devices.fields import ADVICE, Fields
from rlprune.devices.int8_model import Int8Rule, KindInInt8
from rlprune.devices.predictor import LatencyPredictor, timed_layers
from rlprune.devices.records import ErrorSummary
from rlprune.errors import ProfileError
from rlprune.network import FloatArray, IntArray, Network
from rlprune.space import BoolArray, Space


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
        layers: those that may compute in int8.
        kinds: what int8 takes, by kind of layer.
        strength: share of the saving that is found when blocks are dropped and layers mixed.
        held_out: error on plans the fit never saw.
        measured: all plans.
        int8_ratio: latency to that in float of the probe in which most layers computed in int8; None without probes.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    kinds: Mapping[str, KindInInt8] = field(default_factory=dict)
    strength: float = 1.0
    held_out: ErrorSummary = field(default_factory=lambda: ErrorSummary(0.0, 0.0, 0.0, 0))
    measured: tuple[MixedPlan, ...] = ()
    int8_ratio: float | None = None

    def rule(self, network: Network, predictor: LatencyPredictor) -> Int8Rule:
        """Which layers compute in int8, and what that saves."""
        return Int8Rule(network, predictor, self.layers, self.kinds, self.strength)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "shares": dict(self.shares),
            "layers": list(self.layers),
            "kinds": {kind: asdict(constants) for kind, constants in self.kinds.items()},
            "strength": self.strength,
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
        shares, kinds, error = (fields.inner(name) for name in ("shares", "kinds", "held_out"))
        found = cls(
            {name: shares.number(name) for name in shares.names()},
            fields.texts("layers"),
            {name: _kind(kinds.inner(name)) for name in kinds.names()},
            fields.number("strength"),
            ErrorSummary(error.number("median"), error.number("p90"), error.number("worst"), error.integer("plans")),
            tuple(_plan(item) for item in fields.objects("measured")),
            fields.optional("int8_ratio"),
        )
        if max([found.strength, *found.shares.values(), *(kind.factor for kind in found.kinds.values())]) > 1:
            raise ProfileError(f"Shares of blocks, factors and strength of int8 lie in [0, 1]. {ADVICE}")
        return found


def _kind(fields: Fields) -> KindInInt8:
    return KindInInt8(fields.number("factor"), fields.number("element_ms"), fields.number("fixed_ms"))


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


def mixed_latency(base: FloatArray, own: FloatArray, dropped: BoolArray, saved: FloatArray) -> FloatArray:
    """The formula of this module.

    Args:
        base: in float, ``[N]``.
        own: shares times own times, ``[N, B]``.
        dropped: ``[N, B]``.
        saved: by int8, ``[N]``.
    """
    return np.asarray(base - (own * dropped).sum(axis=1) - saved)


def fit_mixed(
    space: Space, predictor: LatencyPredictor, plans: Sequence[MixedPlan], kinds: Mapping[str, KindInInt8]
) -> MixedLatency:
    """Shares and strength of least relative error on the plans that are not held out.

    Args:
        space: its blocks are those that may be dropped, its layers in int8 those that may be.
        kinds: what int8 takes.
    """
    network, blocks = space.network, list(space.blocks.names)
    names = [layer.name for layer in network.layers]
    widths = np.array([plan.widths for plan in plans], dtype=np.int64)
    latency = np.array([plan.latency_ms for plan in plans])
    held_out = np.array([plan.held_out for plan in plans])
    base, own = predictor.bind(network)(widths), OwnTime(space, predictor)(widths)
    dropped = _membership(blocks, [plan.dropped for plan in plans])
    in_int8 = _membership(names, [plan.int8 for plan in plans])
    saved = Int8Rule(network, predictor, space.int8.names, kinds).savings(widths, in_int8 > 0) * in_int8.any(axis=1)
    matrix = np.hstack([own * dropped, saved[:, None]]) / latency[:, None]
    fit = lsq_linear(matrix[~held_out], (base / latency - 1)[~held_out], bounds=(0.0, 1.0))
    shares = np.where((dropped[~held_out] > 0).any(axis=0), fit.x[:-1], 1.0)
    strength = min([float(fit.x[-1]), *shares]) if saved.any() else 0.0
    promised = mixed_latency(base, own * shares, dropped > 0, strength * saved)
    return MixedLatency(
        {name: float(share) for name, share in zip(blocks, shares, strict=True)},
        tuple(sorted(space.int8.names)),
        kinds,
        strength,
        ErrorSummary.of((promised / latency - 1)[held_out]),
        tuple(plans),
    )


def int8_ratio(network: Network, predictor: LatencyPredictor, plans: Sequence[MixedPlan]) -> float | None:
    """Latency to that in float of the plan with most layers in int8; None where there is none."""
    most = max(plans, key=lambda plan: len(plan.int8), default=None)
    if most is None or not most.int8:
        return None
    return most.latency_ms / float(predictor.bind(network)(np.array([most.widths], dtype=np.int64))[0])


def _membership(names: Sequence[str], sets: Sequence[Sequence[str]]) -> FloatArray:
    """1 where a set holds a name, ``[sets, names]``."""
    return np.array([[float(name in own) for name in names] for own in sets]).reshape(len(sets), len(names))
