"""Latency of plans that drop blocks and compute layers in int8.

    latency = float(widths) - sum over dropped blocks b of (share[b] * own[b](widths) + layer_ms * layers in b)
                            - saving(layers, widths)

``float`` is what the profile promises of the widths in float, ``own[b]`` the part of it that stands in the block, and
``layer_ms`` what calling one layer costs by itself. ``saving`` is what int8 saves in the layers that are left
(``int8/model.py``). Shares lie in [0, 1], so latency never falls when a block comes back, a layer
returns to float, or a width rises. Widths inside dropped blocks count as the smallest, so they change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import lsq_linear

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.space import Space
from rlprune.devices.profiles.int8.model import Conversion, Int8Rule, KindInInt8, TimedInInt8, fit_kinds
from rlprune.devices.profiles.predictor import LatencyPredictor, timed_layers
from rlprune.devices.profiles.records import ErrorSummary, Widths
from rlprune.networks.network import Network
from rlprune.pruning.blocks.blocks import Blocks
from rlprune.pruning.blocks.droppable import find_blocks
from rlprune.support.records import NotNegative, Positive, Share


@dataclass(frozen=True)
class MixedPlan:
    """A measured plan that decides more than channels.

    Attributes:
        widths: channels of every group.
        dropped, int8: names of blocks and layers.
        latency_ms: on the scale of the profile.
        held_out: the fit did not see it.
        promised_ms: what the fit says; None where int8 does not pay, so that nothing is promised of it.
    """

    widths: Widths
    dropped: tuple[str, ...]
    int8: tuple[str, ...]
    latency_ms: Positive
    held_out: bool
    promised_ms: NotNegative | None = None


@dataclass(frozen=True)
class MixedLatency:
    """What was fitted to measured plans that decide more than channels.

    Attributes:
        shares: block -> share of its time at its narrowest that goes with it.
        layers: those that may compute in int8.
        kinds: what int8 takes, by kind of layer.
        conversion: what converting between float and int8 takes; None where only all layers in int8 were measured, or
            none.
        layer_ms: that each layer of a dropped block saves by not being called.
        held_out: error on plans the fit never saw.
        measured: all plans.
        int8_ratio: latency to that in float of the dense network with all layers in int8; None without probes.
    """

    shares: Mapping[str, Share]
    layers: tuple[str, ...]
    kinds: Mapping[str, KindInInt8]
    layer_ms: NotNegative
    held_out: ErrorSummary
    measured: tuple[MixedPlan, ...]
    int8_ratio: NotNegative | None = None
    conversion: Conversion | None = None

    def rule(self, space: Space, predictor: LatencyPredictor) -> Int8Rule:
        """Which layers compute in int8, and what that saves."""
        shares = self._share_of_layers(space)
        return Int8Rule(space.network, predictor, self.layers, self.kinds, self.conversion, shares)

    def _share_of_layers(self, space: Space) -> dict[str, float]:
        """A layer saves in int8 at most what it saves by being dropped."""
        return {name: self.shares.get(block.name, 1.0) for block in space.blocks for name in block.layers}

    def dropped_ms(self, space: Space, predictor: LatencyPredictor) -> Callable[[IntArray], FloatArray]:
        """What each dropped block of a space saves, from widths ``[N, G]``; ``[N, B]``.

        The widths inside dropped blocks are the smallest ones; see
        :meth:`rlprune.choices.space.Space.effective_widths`.
        """
        own = OwnTime(space, predictor)
        shares = np.array([self.shares.get(name, 1.0) for name in space.blocks.names])
        counts = np.array(timed_counts(space))
        calls = counts * min(self.layer_ms, predictor.intercept_ms / max(int(counts.sum()), 1))
        return lambda widths: np.asarray(own(widths) * shares + calls)


NO_MIXES = MixedLatency({}, (), {}, 0.0, ErrorSummary(0.0, 0.0, 0.0, 0), ())
"""Where none were measured."""


class OwnTime:
    """The part of the latency in float that stands in each block of a space."""

    def __init__(self, space: Space, predictor: LatencyPredictor) -> None:
        timed = [layer.name for layer in timed_layers(space.network)]
        self._by_layer = predictor.bind(space.network).by_layer
        self._layers = _membership(timed, [block.layers for block in space.blocks])

    def __call__(self, widths: IntArray) -> FloatArray:
        """Milliseconds of each block, ``[N, G] -> [N, B]``."""
        return np.asarray(self._by_layer(widths) @ self._layers.T)


def timed_counts(space: Space) -> list[int]:
    """How many timed layers each block holds."""
    timed = {layer.name for layer in timed_layers(space.network)}
    return [len(timed & set(block.layers)) for block in space.blocks]


def fit_mixed(
    space: Space, predictor: LatencyPredictor, plans: Sequence[MixedPlan], layers: Sequence[str]
) -> MixedLatency:
    """What dropped blocks save, of the plans in float; then what int8 saves, of the others. None is fitted to what is
    held out.

    Args:
        space: its blocks are those that may be dropped.
        layers: that may compute in int8.
    """
    widths = np.array([plan.widths for plan in plans], dtype=np.int64)
    latency = np.array([plan.latency_ms for plan in plans])
    seen = np.array([not plan.held_out for plan in plans])
    in_int8 = np.array([bool(plan.int8) for plan in plans])
    dropped = _membership(space.blocks.names, [plan.dropped for plan in plans])
    widths = space.effective_widths(widths, dropped == 0)
    base = predictor.bind(space.network)(widths)
    chosen = seen & ~in_int8
    own = OwnTime(space, predictor)
    mixed = _fit_drops(space, predictor, own, widths[chosen], dropped[chosen], base[chosen], latency[chosen])
    mixed = replace(mixed, layers=tuple(layers))
    base = base - (mixed.dropped_ms(space, predictor)(widths) * dropped).sum(axis=1)
    names = [layer.name for layer in space.network.layers]
    computed = _membership(names, [plan.int8 for plan in plans]) > 0
    present = np.asarray(dropped @ space.inside == 0)
    if (fitted := seen & in_int8).any():
        timed = TimedInInt8(widths[fitted], computed[fitted], present[fitted], base[fitted], latency[fitted])
        kinds, conversion = fit_kinds(space.network, predictor, timed, mixed._share_of_layers(space), layers)
        mixed = replace(mixed, kinds=kinds, conversion=conversion)
    promised = base - mixed.rule(space, predictor).savings(widths, computed, present)
    told = ~in_int8 | (promised < base)
    error = ErrorSummary.of((promised / latency - 1)[~seen & told])
    return replace(mixed, held_out=error, measured=tuple(map(_with_promise, plans, promised, told)))


def _with_promise(plan: MixedPlan, promised_ms: float, told: bool) -> MixedPlan:
    return replace(plan, promised_ms=float(promised_ms) if told else None)


def refit_mixed(mixed: MixedLatency, network: Network, predictor: LatencyPredictor) -> MixedLatency:
    """A fit of the same measurements on another predictor of the network; of none, what there is."""
    if not mixed.measured:
        return mixed
    blocks = Blocks([block for block in find_blocks(network) if block.name in mixed.shares])
    fitted = fit_mixed(Space(network, blocks=blocks), predictor, mixed.measured, mixed.layers)
    return replace(fitted, int8_ratio=mixed.int8_ratio)


def _fit_drops(
    space: Space,
    predictor: LatencyPredictor,
    own: OwnTime,
    widths: IntArray,
    dropped: FloatArray,
    base: FloatArray,
    latency: FloatArray,
) -> MixedLatency:
    """Shares, and what a call of a layer costs, of least relative error."""
    blocks = space.blocks.names
    if not dropped.any():
        return replace(NO_MIXES, shares=dict.fromkeys(blocks, 1.0))
    calls = dropped @ np.array(timed_counts(space), dtype=np.float64)
    matrix = np.hstack([own(widths) * dropped, calls[:, None]]) / latency[:, None]
    most = predictor.intercept_ms / max(sum(timed_counts(space)), 1)
    upper = np.array([1.0] * len(blocks) + [max(most, 1e-12)])
    found = lsq_linear(matrix, base / latency - 1, bounds=(0.0, upper)).x
    shares = np.where((dropped > 0).any(axis=0), found[:-1], 1.0)
    by_block = {name: float(share) for name, share in zip(blocks, shares, strict=True)}
    return replace(NO_MIXES, shares=by_block, layer_ms=float(found[-1]))


def int8_ratio(network: Network, predictor: LatencyPredictor, plans: Sequence[MixedPlan]) -> float | None:
    """Latency to that in float of the widest plan with most layers in int8; None where there is none."""
    widest = max(plans, key=lambda plan: (len(plan.int8), sum(plan.widths)), default=None)
    if widest is None or not widest.int8:
        return None
    return widest.latency_ms / float(predictor.bind(network)(np.array([widest.widths], dtype=np.int64))[0])


def _membership(names: Sequence[str], sets: Sequence[Sequence[str]]) -> FloatArray:
    """1 where a set holds a name, ``[sets, names]``."""
    return np.array([[float(name in own) for name in names] for own in sets]).reshape(len(sets), len(names))
