"""What an inference costs in energy: measured on a few plans, fitted for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.meters.base import PowerMeter, Window
from rlprune.devices.profiles.records import EnergyModel, EnergyReading, ErrorSummary
from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.networks.network import Network

PLANS = 12
"""Plans that are put under a meter, dense and narrowest among them; each takes one window."""
WINDOW_S = 5.0
BLOCK_MS = 20.0
"""Between two looks at the clock of a meter."""
LEAST_TERMS_PLANS = 4
"""Fewer readings than this tell a power only."""


def choose_readings(network: Network, plans: IntArray, count: int = PLANS) -> IntArray:
    """Positions of the plans to put under a meter: spread evenly over the multiply-adds of ``plans`` ``[P, G]``."""
    order = np.argsort(network.macs(plans), kind="stable")
    return order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64))]


def read_energy(
    runtime: Runtime, inference: Inference, latency_ms: float, meter: PowerMeter, seconds: float = WINDOW_S
) -> Window:
    """Run a plan that takes about ``latency_ms`` under the meter for ``seconds``.

    Raises:
        DeviceError: the meter or the runtime fails.
    """
    block = max(1, int(BLOCK_MS / latency_ms))

    def work() -> int:
        runtime.time(inference, block)
        return block + runtime.identity.warmup

    return meter.measure(work, seconds)


def fit_energy(
    network: Network,
    readings: Sequence[EnergyReading],
    predict: Callable[[IntArray], FloatArray],
    of: EnergyModel,
) -> EnergyModel:
    """Non-negative least squares on relative errors; each plan is left out in turn for the stated error.

    Args:
        predict: milliseconds of plans, as the profile promises them: the energy of a plan will be asked with these.
        of: tells the meter and the idle power.
    """
    widths = np.array([reading.widths for reading in readings])
    energy = np.array([reading.energy_mj for reading in readings])
    latency, macs = predict(widths), network.macs(widths)
    columns = np.stack([latency, np.ones(len(macs)), macs / 1e6], axis=1)
    if len(readings) < LEAST_TERMS_PLANS:
        columns[:, 1:] = 0
    keep = np.arange(len(readings))
    errors = [
        float(columns[i] @ _solve(columns[keep != i], energy[keep != i]) / energy[i] - 1) for i in keep if len(keep) > 1
    ]
    watts, base, per_mmac = _solve(columns, energy)
    return replace(
        of,
        watts=float(watts),
        base_mj=float(base),
        mj_per_mmac=float(per_mmac),
        error=ErrorSummary.of(np.array(errors)),
    )


def _solve(columns: FloatArray, energy: FloatArray) -> FloatArray:
    scale = np.abs(columns).max(axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(columns / scale / energy[:, None], np.ones(len(energy)))
    return np.asarray(solution / scale)
