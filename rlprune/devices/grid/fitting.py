"""Fits what a layer of each kind costs, at every size, to networks made of such layers.

    latency = c0 + sum over layers ( e[kind] + sum over features f and knots k of c[kind, f, k] * phi_k(positions) * f )

with hat functions phi_k over the logarithm of a layer's output positions, which sum to one between two knots: costs per
unit are interpolated between the sizes of the grid. None of the coefficients is negative. Non-negative least squares on
relative errors with a small ridge; block and ridge by cross-validation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from scipy.optimize import nnls

from rlprune.arrays import BoolArray, FloatArray, IntArray
from rlprune.devices.profiles.predictor import FEATURES, Feature, LayerFeatures
from rlprune.networks.layers import Layer
from rlprune.networks.network import Network
from rlprune.support.records import Count, NotNegative, Whole

KNOTS = (1, 4, 16, 49, 64, 196, 256, 784, 1024, 3136)
"""Output positions at which costs are told apart; a network is measured at each."""
FEW = 8
"""Convolutions of fewer input channels read images: runtimes have another kernel for them."""
BLOCKS = (1, 8, 16)
PENALTIES = (1e-6, 1e-4, 1e-2)
FOLDS = 5
LayerKind = tuple[str, tuple[int, ...], tuple[int, ...]]
"""Kind, kernel and stride of a layer."""


@dataclass(frozen=True)
class MeasuredProbe:
    """One network at some widths ``[P, G]``, and what it took, ``[P]`` milliseconds."""

    network: Network
    plans: IntArray
    latency_ms: FloatArray


class Knot(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Milliseconds per unit of each feature at some output positions; None where it costs nothing."""

    positions: Count
    macs: NotNegative | None = None
    outputs: NotNegative | None = None
    inputs: NotNegative | None = None
    block_macs: NotNegative | None = None
    block_outputs: NotNegative | None = None
    block_inputs: NotNegative | None = None

    def costs(self) -> dict[Feature, float]:
        """Feature -> milliseconds per unit."""
        values = {feature: getattr(self, feature) for feature in FEATURES}
        return {feature: value for feature, value in values.items() if value is not None}


class KindCost(Struct, frozen=True):
    """What layers of one kind cost.

    Attributes:
        kind, kernel, stride: of the layers.
        each_ms: of every layer.
        channels: most that were measured, on either side.
        knots: costs per unit, by rising output positions.
    """

    kind: str
    kernel: tuple[Count, ...]
    stride: tuple[Count, ...]
    each_ms: NotNegative
    channels: Whole
    knots: Annotated[tuple[Knot, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse knots out of order."""
        if self.positions != sorted(set(self.positions)):
            raise ValueError(f"positions of knots must rise; {self.positions!r:.80} came")

    @property
    def key(self) -> LayerKind:
        """By which it is found."""
        return self.kind, self.kernel, self.stride

    @property
    def positions(self) -> list[int]:
        """Output positions that were measured, rising."""
        return [knot.positions for knot in self.knots]

    def coefficients(self, positions: float) -> dict[Feature, float]:
        """Feature -> milliseconds per unit of a layer with these output positions, interpolated between knots."""
        found: dict[Feature, float] = {}
        weights = hats(positions, self.positions)
        for knot in self.knots:
            for feature, value in knot.costs().items() if knot.positions in weights else ():
                found[feature] = found.get(feature, 0.0) + weights[knot.positions] * value
        return found


@dataclass(frozen=True)
class GridFit:
    """``errors``: relative, of plans left out in turn."""

    intercept_ms: float
    block: int
    kinds: tuple[KindCost, ...]
    errors: FloatArray


def key_of(layer: Layer) -> LayerKind:
    """What a layer costs depends on these; a layer without kernel has none."""
    kind = layer.kind
    if kind == "conv" and layer.groups > 1:
        kind = "grouped conv"
    elif kind == "conv" and layer.in_width < FEW:
        kind = "image conv"
    return kind, layer.kernel, layer.stride


def stand_in(key: LayerKind) -> LayerKind:
    """The kind whose costs are taken where one was not measured: convolutions of any input for those of images."""
    kind, kernel, stride = key
    return "conv" if kind == "image conv" else kind, kernel, stride


def features_of(key: LayerKind, block: int, mixed: bool) -> tuple[str, ...]:
    """Which features a kind of layer costs by; where channels come in blocks, those of images do not."""
    plain, blocks = FEATURES[:3], FEATURES[3:]
    if block == 1:
        return plain
    return FEATURES if mixed or key[0] == "image conv" else blocks


def hats(positions: float, knots: Sequence[int]) -> dict[int, float]:
    """Knots beside ``positions`` and their weights, which sum to one; beyond the last knot it counts alone."""
    place = np.interp(np.log(max(positions, 1.0)), np.log(knots), np.arange(len(knots)))
    low = min(int(place), len(knots) - 1)
    high = min(low + 1, len(knots) - 1)
    weight = float(place - low)
    return {knots[low]: 1.0} if weight == 0 or low == high else {knots[low]: 1 - weight, knots[high]: weight}


def fit_grid(
    measured: Sequence[MeasuredProbe], seed: int = 0, blocks: Sequence[int] = BLOCKS, mixed: bool = False
) -> GridFit:
    """Costs of all kinds of layers, fitted to all measured networks together.

    Args:
        blocks: the best of these is chosen.
        mixed: layers may cost partly by blocks and partly by channels; plans over whole blocks cannot tell these apart.
    """
    latency = np.concatenate([item.latency_ms for item in measured])
    folds = np.random.default_rng(seed).permutation(len(latency)) % FOLDS
    best: tuple[float, _Design, float, FloatArray] | None = None
    for design in (_Design(measured, block, mixed) for block in blocks):
        for penalty in PENALTIES:
            errors = design.cross_validated(latency, folds, penalty)
            score = float(np.mean(errors**2))
            if best is None or score < best[0]:
                best = score, design, penalty, errors
    assert best is not None  # neither blocks nor penalties are empty
    _, design, penalty, errors = best
    return design.fitted(design.solve(latency, np.ones(len(latency), dtype=np.bool_), penalty), np.abs(errors))


class _Design:
    """Columns of the regression: the call itself, each kind of layer, and kinds by feature and knot."""

    def __init__(self, measured: Sequence[MeasuredProbe], block: int, mixed: bool) -> None:
        self.block, self._mixed = block, mixed
        self._columns: dict[tuple[LayerKind | None, str, int], int] = {(None, "", 0): 0}
        self._most: dict[LayerKind, int] = {}
        rows = [self._rows(item) for item in measured]
        self.table = np.zeros((sum(len(row) for row in rows), len(self._columns)))
        start = 0
        for row in rows:
            self.table[start : start + len(row), : row.shape[1]] = row
            start += len(row)
        self._scale = np.abs(self.table).max(axis=0)
        self._scale[self._scale == 0] = 1.0

    def _rows(self, item: MeasuredProbe) -> FloatArray:
        features = LayerFeatures(item.network, self.block)
        cube = features(item.plans)
        entries: list[tuple[int, FloatArray]] = [(0, np.ones(len(item.plans)))]
        for index, layer in enumerate(features.layers):
            key = key_of(layer)
            self._most[key] = max(self._most.get(key, 0), layer.out_width, layer.in_width)
            entries.append((self._column(key, "", 0), np.ones(len(item.plans))))
            for knot, weight in hats(layer.positions, KNOTS).items():
                for name in features_of(key, self.block, self._mixed):
                    values = cube[:, index, FEATURES.index(name)]
                    entries.append((self._column(key, name, knot), weight * values))
        table = np.zeros((len(item.plans), len(self._columns)))
        for column, values in entries:
            table[:, column] += values
        return table

    def _column(self, key: LayerKind, feature: str, knot: int) -> int:
        return self._columns.setdefault((key, feature, knot), len(self._columns))

    def solve(self, latency: FloatArray, rows: BoolArray, penalty: float) -> FloatArray:
        table = self.table[rows] / self._scale / latency[rows][:, None]
        ridge = np.sqrt(penalty) * np.eye(table.shape[1]) / latency.mean()
        target = np.concatenate([np.ones(len(table)), np.zeros(len(ridge))])
        solution, _ = nnls(np.vstack([table, ridge]), target, maxiter=50 * table.shape[1])
        return np.asarray(solution / self._scale)

    def cross_validated(self, latency: FloatArray, folds: IntArray, penalty: float) -> FloatArray:
        errors = np.zeros(len(latency))
        for fold in range(int(folds.max()) + 1):
            out = folds == fold
            errors[out] = self.table[out] @ self.solve(latency, ~out, penalty) / latency[out] - 1
        return errors

    def fitted(self, solution: FloatArray, errors: FloatArray) -> GridFit:
        each: dict[LayerKind, float] = {}
        knots: dict[LayerKind, dict[int, dict[str, float]]] = defaultdict(dict)
        for (key, feature, knot), column in self._columns.items():
            if key is not None and not feature:
                each[key] = float(solution[column])
            elif key is not None:
                costs = knots[key].setdefault(knot, {})
                if solution[column] > 0:
                    costs[feature] = float(solution[column])
        kinds = tuple(
            KindCost(*key, ms, self._most[key], tuple(Knot(at, **costs) for at, costs in sorted(knots[key].items())))
            for key, ms in each.items()
        )
        return GridFit(float(solution[0]), self.block, kinds, errors)
