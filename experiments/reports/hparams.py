"""Settings and results of a run as TensorBoard's HParams tab compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlprune.agents import TUNABLE
from rlprune.experiments.runs.result import Result, Row
from rlprune.experiments.settings.options import as_dict
from rlprune.experiments.settings.verb_configs import TrainConfig

HParam = bool | str | float | int
PLACES = ("out", "resume", "data_dir", "agent", "baselines")
"""Settings that are paths, or that the method of the row says better."""
OF_RANGES = ("levels", "prefer")
"""Settings that say nothing where there is one budget."""
NONE = "none"
END = "run-end"
"""Topic of the final metrics. TensorBoard's pages put ``run/`` before it, so curves come first there; its HParams tab
shows the first five tags as plain text sorts them, ``-`` before ``/``, so the final metrics come first there."""


def hparams_of(config: TrainConfig, result: Result, row: Row) -> dict[str, HParam]:
    """Every setting under which a row was found.

    All are there in every run, so that TensorBoard sees which of them differ and puts these first; an agent's own
    settings (``setting.optimism``) are there where they were changed.
    """
    device = result.device or {}
    hidden = PLACES if config.budget_range() else (*PLACES, *OF_RANGES)
    return {
        **{name: _plain(value) for name, value in as_dict(config).items() if name not in hidden},
        **_settings(config, row.name),
        "method": row.name,
        "task": result.task,
        "seed": str(config.seed),  # a name, not an amount: as text it is shown without decimals
        "device": Path(config.device).name,
        "processor": str(device.get("device", NONE)),
        "runtime": " ".join(str(device[key]) for key in ("runtime", "version") if key in device) or NONE,
    }


def _plain(value: Any) -> HParam:
    if isinstance(value, list):
        return ", ".join(value) or NONE
    return NONE if value is None else value


def _settings(config: TrainConfig, method: str) -> dict[str, HParam]:
    """Preset and changed settings, of the method that has them."""
    if method not in TUNABLE or method != config.agent:
        return {"preset": "default", "setting": NONE}
    return {f"setting.{name}": _number(value) for name, value in config.agent_settings().items()}


def _number(value: Any) -> HParam:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def metrics_of(result: Result, row: Row, dense: Row) -> dict[str, float]:
    """What rows are sorted by, the first five first; latency is measured where it was, and the dense one beside it."""
    speedup = None if row.latency_ms is None or dense.latency_ms is None else dense.latency_ms / row.latency_ms
    values = {
        f"{result.metric}_test": row.score_test,
        "energy_mj": row.energy_mj,
        "evaluations": result.searches[row.name].evaluations if row.name in result.searches else 0,
        "latency_ms": row.latency_ms,
        "latency_speedup": speedup,
        "macs": row.macs,
        "params": row.params,
        "size_bytes": row.size_bytes,
        f"validation_{result.metric}": row.score_validation,
    }
    return {f"{END}/{name}": float(value) for name, value in values.items() if value is not None}
