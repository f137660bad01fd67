"""How long networks take whose layers compute in int8 or in float, and which layers it pays for.

    T(S) = float + sum over layers l in S of (factor[kind] - 1) * float[l] + mac_ms[kind] * macs[l]
                                             + element_ms[kind] * elements[l] + fixed_ms[kind]
                 + C(S)

``S`` are the layers in int8, ``float[l]`` is a layer's part of a profile's latency, and ``elements`` what it reads and
answers. ``macs`` are its multiply-adds with channels rounded up to whole blocks: kernels of int8 fill up to others than
those of float. ``C(S)`` is what conversions between float and int8 cost on the links of
:mod:`rlprune.devices.profiles.int8.links` whose ends differ: a fixed part each, and a part for each element. What
lies between layers is in int8 or not, as it costs least. Of the layers that may, those compute in int8 with which ``T``
is least.

Factors lie in [0, 1] and the other constants are not negative, so each ``T(S)`` never falls when a width rises, and
neither does the least of them; and it never rises when more layers may compute in int8. A dropped layer is like what
lies between layers: it takes no time, in int8 or not. So dropping a block never raises the least ``T`` either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from rlprune.arrays import BoolArray, FloatArray, IntArray
from rlprune.devices.profiles.int8.conversions import Conversions
from rlprune.devices.profiles.predictor import LatencyPredictor, LayerFeatures
from rlprune.networks.layers import Layer
from rlprune.networks.network import Network
from rlprune.pruning.quantization import int8_layers
from rlprune.support.records import Count, NotNegative, Share


@dataclass(frozen=True)
class KindInInt8:
    """Constants of one kind of layer; see the module."""

    factor: Share
    element_ms: NotNegative
    fixed_ms: NotNegative
    mac_ms: NotNegative = 0.0
    block: Count = 1


@dataclass(frozen=True)
class Conversion:
    """What a conversion between float and int8 costs: for each element, and by itself."""

    element_ms: NotNegative
    fixed_ms: NotNegative


BLOCKS = (1, 4, 8, 16, 32, 64)
"""Channels that kernels may pad to."""
Converted = Callable[[FloatArray, BoolArray, BoolArray], tuple[FloatArray, FloatArray]]
FEW_CHANNELS = 8
IMAGE = "image conv"
"""Convolutions that read fewer channels: in int8 they take far longer for their products than others."""


def kind_of(layer: Layer) -> str:
    """The kind of layer whose constants hold."""
    return IMAGE if layer.kind == "conv" and layer.in_width < FEW_CHANNELS else layer.kind


class LayerTimes:
    """Time in float and elements of every layer of a network.

    Args:
        predictor: of the same network.
        shares: layer -> share of its time that counts; 1 for the others.
    """

    def __init__(self, network: Network, predictor: LatencyPredictor, shares: Mapping[str, float]) -> None:
        self.kinds = [kind_of(layer) for layer in network.layers]
        self.names = [layer.name for layer in network.layers]
        features = LayerFeatures(network, 1)
        self._features = features
        self._of_network = [self.names.index(layer.name) for layer in features.layers]
        self._by_layer = predictor.bind(network).by_layer
        self._shares = np.array([shares.get(layer.name, 1.0) for layer in features.layers])

    def float_ms(self, widths: IntArray) -> FloatArray:
        """Milliseconds in float, ``[N, G] -> [N, L]``; 0 for untimed layers."""
        times = np.zeros((len(widths), len(self.names)))
        times[:, self._of_network] = self._by_layer(widths) * self._shares
        return times

    def macs(self, widths: IntArray, blocks: IntArray) -> FloatArray:
        """Multiply-adds with channels rounded up to ``blocks`` ``[L]``; ``[N, G] -> [N, L]``, 0 for untimed layers."""
        macs = np.zeros((len(widths), len(self.names)))
        macs[:, self._of_network] = self._features.macs_in_blocks(widths, blocks[self._of_network])
        return macs

    def elements(self, widths: IntArray) -> FloatArray:
        """Elements answered and elements read, ``[N, G] -> [N, L, 2]``; 0 for untimed layers."""
        elements = np.zeros((len(widths), len(self.names), 2))
        elements[:, self._of_network] = self._features(widths)[:, :, 1:3]
        return elements


class Int8Rule:
    """Which layers of a network compute in int8 at given widths, and what that saves.

    Args:
        candidates: layers that may.
        kinds: constants by kind; layers of other kinds stay in float.
        conversion: None where only all layers in int8 were measured, or none; then all compute in int8 or none does.
        shares: layer -> share of its own time that counts; 1 for the others.
    """

    def __init__(
        self,
        network: Network,
        predictor: LatencyPredictor,
        candidates: Collection[str],
        kinds: Mapping[str, KindInInt8],
        conversion: Conversion | None,
        shares: Mapping[str, float],
    ) -> None:
        self._times = LayerTimes(network, predictor, shares)
        found = {layer.name: kinds.get(kind_of(layer), kinds.get(layer.kind)) for layer in network.layers}
        named = [name for name in candidates if found.get(name) is not None]
        self._names = frozenset(named).intersection(int8_layers(network) if named else ())
        rows = [row or KindInInt8(1.0, 0.0, 0.0) for row in found.values()]
        self._constants = np.array([[row.factor, row.mac_ms, row.element_ms, row.fixed_ms] for row in rows]).T
        self._blocks = np.array([row.block for row in rows], dtype=np.int64)
        self._may = np.array([name in self._names for name in self._times.names])
        self._conversion = conversion
        self._conversions = Conversions(network, self._times.names) if self._names else None

        self._known = (network.fingerprint, predictor, self._names, dict(kinds), conversion, dict(shares))

    @property
    def names(self) -> frozenset[str]:
        """Names of the layers that may compute in int8."""
        return self._names

    def __eq__(self, other: object) -> bool:
        """Whether both choose the same layers, and promise the same of them."""
        return isinstance(other, Int8Rule) and self._known == other._known

    __hash__ = None  # type: ignore[assignment]

    def chosen(self, widths: IntArray, permitted: BoolArray, present: BoolArray) -> BoolArray:
        """The layers ``permitted`` (``[N, L]``) that take least in int8 at widths ``[N, G]``, ``[N, L]``.

        Args:
            present: those that are left, ``[N, L]``.
        """
        return self.best(widths, permitted, present)[0]

    def best(self, widths: IntArray, permitted: BoolArray, present: BoolArray) -> tuple[BoolArray, FloatArray]:
        """What :meth:`chosen` gives, and the milliseconds that these layers save, ``[N]``."""
        may = permitted & present & self._may
        if self._conversion is not None:
            chosen, cost = self._least(widths, may, np.zeros_like(may), present)
            return chosen, -cost
        may &= (may == (present & self._may)).all(axis=1, keepdims=True)
        saved = self.savings(widths, may, present)
        return may & (saved > 0)[:, None], np.maximum(saved, 0.0)

    def savings(self, widths: IntArray, in_int8: BoolArray, present: BoolArray) -> FloatArray:
        """Milliseconds that these layers ``[N, L]`` save in int8, whether it pays or not; ``[N]``."""
        return -self._least(widths, in_int8 & self._may, in_int8 & self._may, present)[1]

    def _least(
        self, widths: IntArray, may: BoolArray, must: BoolArray, present: BoolArray
    ) -> tuple[BoolArray, FloatArray]:
        found, cost, some = np.zeros_like(may), np.zeros(len(may)), may.any(axis=1)
        if self._conversions is not None and some.any():
            elements = self._times.elements(widths[some])
            changes = np.where(may[some], self._changes(widths[some], elements), np.inf)
            converting = self._conversion or Conversion(0.0, 0.0)
            links = converting.element_ms * self._conversions.elements(elements) + converting.fixed_ms
            nodes, cost[some] = self._conversions.least(changes, links, must[some], present[some])
            found[some] = self._conversions.of_layers(nodes, may.shape[1]) & may[some]
        return found, cost

    def _changes(self, widths: IntArray, elements: FloatArray) -> FloatArray:
        factor, mac_ms, element_ms, fixed_ms = self._constants
        products = (factor - 1) * self._times.float_ms(widths) + mac_ms * self._times.macs(widths, self._blocks)
        return np.asarray(products + element_ms * elements.sum(axis=2) + fixed_ms)


@dataclass(frozen=True)
class TimedInInt8:
    """Measured plans that have layers in int8.

    Attributes:
        widths: ``[N, G]``.
        in_int8: layers that were, whether it pays there or not, ``[N, L]``.
        present: layers that were left, ``[N, L]``.
        base_ms: latency in float, ``[N]``.
        latency_ms: measured, ``[N]``.
    """

    widths: IntArray
    in_int8: BoolArray
    present: BoolArray
    base_ms: FloatArray
    latency_ms: FloatArray

    def partial(self, layers: BoolArray) -> bool:
        """Whether any had a part of ``layers`` ``[L]`` in int8; else nothing tells what conversions cost."""
        return bool((self.in_int8 != (self.present & layers)).any())


def fit_kinds(
    network: Network,
    predictor: LatencyPredictor,
    plans: TimedInInt8,
    shares: Mapping[str, float],
    candidates: Collection[str],
) -> tuple[dict[str, KindInInt8], Conversion | None]:
    """Constants by kind, and of conversions, of least relative error; the block is the one whose fit is best.

    Args:
        shares, candidates: as for :class:`Int8Rule`.
    """
    times = LayerTimes(network, predictor, shares)
    partial = plans.partial(np.array([name in candidates for name in times.names]))
    converted = Conversions(network, times.names).converted if partial else None
    fits = [_fit(times, plans, converted, block) for block in BLOCKS]
    return min(fits, key=lambda fit: fit[0])[1:]


def _fit(
    times: LayerTimes, plans: TimedInInt8, converted: Converted | None, block: int
) -> tuple[float, dict[str, KindInInt8], Conversion | None]:
    """The squared error that is left, and constants; rounded, so that the first of equally good blocks is taken."""
    of_layers, elements = times.float_ms(plans.widths), times.elements(plans.widths)
    macs = times.macs(plans.widths, np.full(len(times.names), block, dtype=np.int64))
    used = np.asarray(plans.in_int8.any(axis=0)).tolist()
    kinds = sorted({kind for kind, there in zip(times.kinds, used, strict=True) if there})
    columns, lowest = [], np.tile([-1.0, 0.0, 0.0, 0.0], len(kinds))
    for kind in kinds:
        own = plans.in_int8 & np.array([each == kind for each in times.kinds])
        columns += [(part * own).sum(axis=1) for part in (of_layers, macs, elements.sum(axis=2), 1.0)]
    if converted is not None:
        columns += converted(elements, plans.in_int8, plans.present)
        lowest = np.append(lowest, [0.0, 0.0])
    matrix = np.stack(columns, axis=1) / plans.latency_ms[:, None]
    found, error = _bounded(matrix, 1.0 - plans.base_ms / plans.latency_ms, lowest)
    constants = {
        kind: KindInInt8(float(np.clip(1 + a, 0, 1)), max(float(e), 0.0), max(float(c), 0.0), max(float(m), 0.0), block)
        for kind, (a, m, e, c) in zip(kinds, found[: 4 * len(kinds)].reshape(-1, 4), strict=True)
    }
    conversion = None if converted is None else Conversion(*np.maximum(found[-2:], 0.0).tolist())
    return round(error, 9), constants, conversion


def _bounded(matrix: FloatArray, wanted: FloatArray, lowest: FloatArray) -> tuple[FloatArray, float]:
    """Least squares within ``lowest`` and 0 where that is negative, else not negative; and the error that is left."""
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-30)
    low, high = lowest * scale, np.where(lowest < 0, 1e-12, np.inf)
    found = lsq_linear(matrix / scale, wanted, bounds=(low, high))
    return np.asarray(found.x / scale), float(found.cost)
