"""Fits what a profile promises of tail latency."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from rlprune.arrays import BoolArray, FloatArray
from rlprune.devices.profiles.records import QUANTILES, ErrorSummary, TailModel


def quantiles(samples: FloatArray) -> FloatArray:
    """The quantiles of :data:`QUANTILES` for plans with samples ``[P, S]``, ``[P, Q]``."""
    return np.quantile(samples, list(QUANTILES.values()), axis=1).T


def fit_tails(latency_ms: FloatArray, tails_ms: FloatArray, held_out: BoolArray) -> dict[str, TailModel]:
    """A line for each quantile, by non-negative least squares on relative errors.

    Args:
        latency_ms: of the estimator, ``[P]``.
        tails_ms: quantiles that each plan's own samples show, ``[P, Q]``.
        held_out: plans that only tell the error, ``[P]``; where there is none, all plans tell it.
    """
    checked = held_out if held_out.any() else np.ones(len(latency_ms), dtype=np.bool_)
    models = {}
    for name, own in zip(QUANTILES, tails_ms.T, strict=True):
        fitted = ~held_out
        columns = np.stack([np.ones(len(latency_ms)), latency_ms], axis=1) / own[:, None]
        (offset, factor), _ = nnls(columns[fitted], np.ones(int(fitted.sum())))
        errors = (offset + factor * latency_ms[checked]) / own[checked] - 1
        models[name] = TailModel(float(offset), float(factor), ErrorSummary.of(errors))
    return models


def scaled(samples: FloatArray, scale: float) -> tuple[tuple[float, ...], ...]:
    """Quantiles of each plan, ``[P]`` tuples, times ``scale``."""
    return tuple(tuple(float(value) for value in row) for row in quantiles(samples) * scale)
