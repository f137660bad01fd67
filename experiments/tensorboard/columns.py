"""Settings and results of a run as columns of TensorBoard's HParams tab, where runs compare at a glance.

TensorBoard puts columns in which runs differ first, in the order of their names, and ticks the first five. So the
names of the score, the latency and the speed-up come before those of other results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlprune.agents import TUNABLE
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.row import Row
from rlprune.experiments.settings.options import as_dict
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.tensorboard.events import Column

PLACES = ("out", "resume", "data_dir", "agent", "baselines")
"""Settings that are paths, or that the method of the row says better."""
OF_RANGES = ("levels", "prefer")
"""Settings that say nothing where there is one budget."""
NONE = "none"


def columns_of(config: TrainConfig, result: Result, row: Row) -> dict[str, Column]:
    """The settings under which a row was found, and what its plan is worth."""
    dense = next(row for row in result.rows if row.role == "dense")
    return settings_of(config, result, row.name) | results_of(result, row, dense)


def settings_of(config: TrainConfig, result: Result, method: str) -> dict[str, Column]:
    """Every setting of a method.

    All are there in every run, so that TensorBoard sees which of them differ; an agent's own settings
    (``setting.optimism``) are there where they were changed.
    """
    device = result.device or {}
    hidden = PLACES if config.budget_range() else (*PLACES, *OF_RANGES)
    return {
        **{name: _plain(value) for name, value in as_dict(config).items() if name not in hidden},
        **_own_settings(config, method),
        "method": method,
        "task": result.task,
        "seed": str(config.seed),  # a name, not an amount: as text it is shown without decimals
        "device": Path(config.device).name,
        "processor": str(device.get("device", NONE)),
        "runtime": " ".join(str(device[key]) for key in ("runtime", "version") if key in device) or NONE,
    }


def _plain(value: Any) -> Column:
    if isinstance(value, list):
        return ", ".join(value) or NONE
    return NONE if value is None else value


def _own_settings(config: TrainConfig, method: str) -> dict[str, Column]:
    """Preset and changed settings, of the method that has them."""
    if method not in TUNABLE or method != config.agent:
        return {"preset": "default", "setting": NONE}
    return {f"setting.{name}": _number(value) for name, value in config.agent_settings().items()}


def _number(value: Any) -> Column:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def results_of(result: Result, row: Row, dense: Row) -> dict[str, Column]:
    """What the chosen plan is worth on all samples, and what it costs; what is not known is left out.

    ``latency_ms`` is measured where ``latency_is`` says so, in turns with the dense network, which ``latency_speedup``
    compares with; else both are promised.
    """
    search = result.searches.get(row.name)
    speedup = None if row.latency_ms is None or dense.latency_ms is None else dense.latency_ms / row.latency_ms
    values = {
        f"{result.metric}_test": row.score_test,
        "latency_ms": row.latency_ms,
        "latency_speedup": speedup,
        "plan_energy_mj": row.energy_mj,
        "plan_macs": row.macs,
        "plan_params": row.params,
        "plan_size_bytes": row.size_bytes,
        **{f"plan_{column}": cost for column, cost in row.costs.items()},
        "search_evaluations": 0 if search is None else search.evaluations,
        f"validation_{result.metric}": row.score_validation,
    }
    known: dict[str, Column] = {name: float(value) for name, value in values.items() if value is not None}
    if row.latency_ms is None:
        return known
    return known | {"latency_is": "promised" if row.latency_measured_ms is None else "measured"}
