"""Fits a :class:`LatencyPredictor` to measured plans, and finds the widths that pay.

Non-negative least squares (Lawson and Hanson, 1974) on relative errors. Sums of a feature over all layers of one kind
are free; what single layers add to their sum is penalised (ridge), and so are the steps of single groups. The strength
of the penalty, the block, and whether there are steps are chosen by cross-validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.profiles.predictor import FEATURES, LatencyPredictor, LayerFeatures, Step
from rlprune.devices.profiling.plans import at_levels
from rlprune.errors import DeviceError
from rlprune.networks.network import Network

BLOCKS = (1, 8, 16)
PENALTIES = tuple(10.0**power for power in range(-5, 2))
FOLDS = 5
DENSE_WEIGHT = 1000.0
"""The fit goes through the dense plan, first of the rows: budgets are fractions of its latency."""
PAYS = 0.5
"""A width pays when the step down to it saves at least this share of what it would save without blocks."""


@dataclass(frozen=True)
class Fit:
    """A predictor and its relative errors on plans that were left out in turn, ``[P - 1]``: all but the dense one."""

    predictor: LatencyPredictor
    errors: FloatArray


@dataclass(frozen=True)
class _Design:
    """Columns of the regression: ``[P, 1 + S + K + J]`` intercept, sums over kinds, single layers, steps of groups.

    ``steps``: group and width of each of the last columns.
    """

    features: LayerFeatures
    columns: FloatArray
    sums: tuple[tuple[int, ...], ...]
    singles: tuple[int, ...]
    steps: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class _Trial:
    """One choice of block and penalty, and the signed relative errors of plans left out in turn, ``[P - 1]``."""

    design: _Design
    penalty: float
    errors: FloatArray


def fit_predictor(
    network: Network, widths: IntArray, latency_ms: FloatArray, seed: int = 0, *, steps: bool = True
) -> Fit:
    """Fit to plans ``[P, G]`` that took ``[P]`` milliseconds; the first is the dense network, which is met exactly.

    Args:
        steps: try steps of single groups as well.

    Raises:
        DeviceError: fewer than two plans, or latencies that are not positive.
    """
    if len(widths) < 2 or not (np.isfinite(latency_ms).all() and (latency_ms > 0).all()):
        raise DeviceError("A predictor needs at least two plans with positive latencies. Measure more plans.")
    folds = np.random.default_rng(seed).permutation(len(widths) - 1) % min(FOLDS, len(widths) - 1)
    trials = [
        _Trial(design, penalty, _cross_validate(design, latency_ms, penalty, folds))
        for design in _designs(network, widths, steps)
        for penalty in PENALTIES
    ]
    best = min(trials, key=lambda trial: float(np.mean(trial.errors**2)))
    solution = _solve(best.design, latency_ms, best.penalty, np.arange(len(widths)))
    solution *= latency_ms[0] / (best.design.columns[0] @ solution)  # what the weight left of the dense plan's error
    return Fit(_predictor(best.design, solution), np.abs(best.errors))


def _designs(network: Network, widths: IntArray, steps: bool) -> Iterator[_Design]:
    for block in BLOCKS:
        design = _design(network, widths, block)
        yield design
        if steps:
            yield _with_steps(design, network, widths)


def _with_steps(design: _Design, network: Network, widths: IntArray) -> _Design:
    """A column for every measured width of a group but the narrowest: 1 where a plan is at least as wide."""
    steps = [
        (index, group.name, int(width))
        for index, group in enumerate(network.groups)
        for width in np.unique(widths[:, index])[1:]
    ]
    columns = [(widths[:, index] >= width).astype(np.float64) for index, _, width in steps]
    names = tuple((name, width) for _, name, width in steps)
    return replace(design, columns=np.column_stack([design.columns, *columns]), steps=names)


def _design(network: Network, widths: IntArray, block: int) -> _Design:
    features = LayerFeatures(network, block)
    cube = features(widths)
    if block == 1:
        cube = cube[:, :, :3]
    flat = cube.reshape(len(widths), -1)
    kinds = [(layer.kind, layer.kernel) for layer in features.layers]
    names = [(kind, column) for kind in kinds for column in range(cube.shape[2])]
    sums = tuple(tuple(i for i, name in enumerate(names) if name == wanted) for wanted in dict.fromkeys(names))
    singles = tuple(int(i) for i in np.flatnonzero(np.ptp(flat, axis=0) > 0))
    parts = [np.ones((len(widths), 1)), *(flat[:, list(columns)].sum(axis=1, keepdims=True) for columns in sums)]
    return _Design(features, np.hstack([*parts, flat[:, list(singles)]]), sums, singles, ())


def _solve(design: _Design, latency: FloatArray, penalty: float, rows: IntArray) -> FloatArray:
    """Non-negative coefficients of the columns of ``design``, fitted to some of its rows."""
    scale = np.abs(design.columns).max(axis=0)
    scale[scale == 0] = 1.0
    weight = np.where(rows == 0, DENSE_WEIGHT, 1.0)
    table = design.columns[rows] / scale * (weight / latency[rows])[:, None]
    single = np.arange(1 + len(design.sums), table.shape[1])
    ridge = np.zeros((len(single), table.shape[1]))
    ridge[np.arange(len(single)), single] = np.sqrt(penalty) / latency.mean()
    target = np.concatenate([weight, np.zeros(len(single))])
    solution, _ = nnls(np.vstack([table, ridge]), target, maxiter=50 * table.shape[1])
    return np.asarray(solution / scale)


def _cross_validate(design: _Design, latency: FloatArray, penalty: float, folds: IntArray) -> FloatArray:
    """Signed relative errors of plans left out fold by fold, ``[P - 1]``; the dense one, first of all, never is."""
    errors = np.zeros(len(latency))
    for fold in range(int(folds.max()) + 1):
        out = 1 + np.flatnonzero(folds == fold)
        kept = np.setdiff1d(np.arange(len(latency)), out)
        errors[out] = design.columns[out] @ _solve(design, latency, penalty, kept) / latency[out] - 1
    return errors[1:]


def _predictor(design: _Design, solution: FloatArray) -> LatencyPredictor:
    """Sums are handed down to their layers, so that the predictor is one coefficient a layer and feature."""
    layers = design.features.layers
    per_layer = 3 if design.features.block == 1 else len(FEATURES)
    flat = np.zeros(len(layers) * per_layer)
    for value, columns in zip(solution[1:], design.sums, strict=False):
        flat[list(columns)] += value
    singles, steps = np.split(solution[1 + len(design.sums) :], [len(design.singles)])
    flat[list(design.singles)] += singles
    table = flat.reshape(len(layers), per_layer)
    coefficients = {
        layer.name: {FEATURES[f]: float(row[f]) for f in np.flatnonzero(row)}
        for layer, row in zip(layers, table, strict=True)
        if row.any()
    }
    of_groups: dict[str, tuple[Step, ...]] = {}
    for (name, width), value in zip(design.steps, steps, strict=True):
        if value > 0:
            of_groups[name] = (*of_groups.get(name, ()), Step(width, float(value)))
    return LatencyPredictor(float(solution[0]), design.features.block, coefficients, of_groups)


def paying_widths(network: Network, predictor: LatencyPredictor) -> dict[str, tuple[int, ...]]:
    """For each group the widths to which a step down saves time, the full width always.

    A step saves what the predictor says; had the runtime no blocks, it would save what the same coefficients say
    without rounding (so the predictor must have no steps). A width pays when the first is at least half the second, the
    other groups being at half width.
    """
    actual, smooth = predictor.bind(network), replace(predictor, block=1).bind(network)
    middle = at_levels(network, np.full(len(network.groups), 0.5))
    paying = {}
    for index, group in enumerate(network.groups):
        plans = np.tile(middle, (len(group.widths), 1))
        plans[:, index] = group.widths
        paying[group.name] = _keep(group.widths, actual(plans), smooth(plans))
    return paying


def _keep(widths: tuple[int, ...], actual: FloatArray, smooth: FloatArray) -> tuple[int, ...]:
    kept = [len(widths) - 1]
    for index in range(len(widths) - 2, -1, -1):
        last = kept[-1]
        if actual[last] - actual[index] >= PAYS * (smooth[last] - smooth[index]):
            kept.append(index)
    return tuple(widths[index] for index in reversed(kept))
