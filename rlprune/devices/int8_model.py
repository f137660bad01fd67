"""How long layers take in int8, by their kind: what products take less, and what rounding costs.

    int8[l] = factor[kind] * float[l] + element_ms[kind] * elements[l] + fixed_ms[kind]

``float[l]`` is the layer's part of a profile's latency, ``elements`` what it reads and writes, both at some widths.
Factors lie in [0, 1] and the rest is not negative, so the sum never falls when a width rises, and neither does the
smaller of float and int8. Layers compute in int8 all together, where that is shorter: one alone rounds what it reads
and what it answers, which mostly costs more than its products save.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from rlprune.devices.predictor import LatencyPredictor, LayerFeatures
from rlprune.network import FloatArray, IntArray, Network
from rlprune.space import BoolArray


@dataclass(frozen=True)
class KindInInt8:
    """Constants of one kind of layer; see the module."""

    factor: float
    element_ms: float
    fixed_ms: float


class LayerTimes:
    """Time in float and elements of every layer of a network.

    Args:
        predictor: of the same network.
        shares: layer -> share of its time that counts; 1 for the others.
    """

    def __init__(self, network: Network, predictor: LatencyPredictor, shares: Mapping[str, float]) -> None:
        self.kinds = [layer.kind for layer in network.layers]
        self.names = [layer.name for layer in network.layers]
        features = LayerFeatures(network, 1)
        self._features = features
        self._of_network = [self.names.index(layer.name) for layer in features.layers]
        self._by_layer = predictor.bind(network).by_layer
        self._shares = np.array([shares.get(layer.name, 1.0) for layer in features.layers])

    def __call__(self, widths: IntArray) -> tuple[FloatArray, FloatArray]:
        """Milliseconds in float and elements read and written, ``[N, G] -> [N, L]`` each; 0 for untimed layers."""
        shape = (len(widths), len(self.names))
        times, elements = np.zeros(shape), np.zeros(shape)
        times[:, self._of_network] = self._by_layer(widths) * self._shares
        elements[:, self._of_network] = self._features(widths)[:, :, 1:3].sum(axis=2)
        return times, elements


class Int8Rule:
    """Whether a network computes in int8 at given widths, and what that saves.

    Args:
        candidates: layers that may.
        kinds: constants by kind; layers of other kinds take as long as in float.
        shares: layer -> share of its own time that counts; 1 for the others.
    """

    def __init__(
        self,
        network: Network,
        predictor: LatencyPredictor,
        candidates: Collection[str],
        kinds: Mapping[str, KindInInt8],
        shares: Mapping[str, float],
    ) -> None:
        self._names = frozenset(candidates)
        self._times = LayerTimes(network, predictor, shares)
        rows = [kinds.get(kind, KindInInt8(1.0, 0.0, 0.0)) for kind in self._times.kinds]
        self._constants = np.array([[row.factor, row.element_ms, row.fixed_ms] for row in rows]).T
        self._may = np.array([name in self._names for name in self._times.names])

    @property
    def names(self) -> frozenset[str]:
        """The layers."""
        return self._names

    def pays(self, widths: IntArray, present: BoolArray) -> BoolArray:
        """Whether the layers that are ``present`` ``[N, L]`` are shorter in int8 at widths ``[N, G]``; ``[N]``."""
        return self.savings(widths, present) > 0

    def savings(self, widths: IntArray, present: BoolArray) -> FloatArray:
        """Milliseconds that int8 saves, ``[N]``; 0 where it does not pay."""
        times, elements = self._times(widths)
        factor, element_ms, fixed_ms = self._constants
        each = times - (factor * times + element_ms * elements + fixed_ms)
        return np.asarray(np.maximum((each * (present & self._may)).sum(axis=1), 0.0))


def fit_kinds(
    network: Network,
    predictor: LatencyPredictor,
    widths: IntArray,
    int8: Sequence[Collection[str]],
    base_ms: FloatArray,
    latency_ms: FloatArray,
    shares: Mapping[str, float],
) -> dict[str, KindInInt8]:
    """Constants of least relative error on plans whose layers are in int8, whether that pays there or not.

    Args:
        widths: ``[N, G]``.
        int8: names of the layers in int8 of each plan.
        base_ms: latency in float, ``[N]``.
        latency_ms: measured, ``[N]``.
        shares: as for :class:`Int8Rule`.
    """
    times = LayerTimes(network, predictor, shares)
    of_layers, elements = times(widths)
    inside = np.array([[name in own for name in times.names] for own in int8])
    used = [bool(column.any()) for column in inside.T]
    kinds = sorted({kind for kind, there in zip(times.kinds, used, strict=True) if there})
    columns = []
    for kind in kinds:
        own = inside & np.array([each == kind for each in times.kinds])
        columns += [(of_layers * own).sum(axis=1), (elements * own).sum(axis=1), own.sum(axis=1).astype(np.float64)]
    matrix = np.stack(columns, axis=1) / latency_ms[:, None]
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-30)
    wanted = 1.0 - base_ms / latency_ms
    low = np.tile([-1.0, 0.0, 0.0], len(kinds)) * scale
    high = np.tile([0.0, np.inf, np.inf], len(kinds)) * scale
    high[high == 0] = 1e-12
    found = lsq_linear(matrix / scale, wanted, bounds=(low, high)).x / scale
    return {
        kind: KindInInt8(float(np.clip(1 + a, 0, 1)), max(float(e), 0.0), max(float(c), 0.0))
        for kind, (a, e, c) in zip(kinds, found.reshape(-1, 3), strict=True)
    }
