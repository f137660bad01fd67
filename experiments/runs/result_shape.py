"""What ``result.json`` must hold, so that its readers need not ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlprune.errors import RunError
from rlprune.experiments.runs import details
from rlprune.experiments.runs.rows import AGENT, BASELINE, DENSE, FILLED, LEARNED, UNIFORM, UNSEARCHED, Row
from rlprune.experiments.runs.shapes import mismatches
from rlprune.support.files import plain_name

MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, StopIteration, TypeError, ValueError)
"""What values that are each of their kind but do not belong together can lead to."""
SCHEMA = "rlprune-result/1"
NUMBER = (float, None)
REWARDED = (*UNSEARCHED, BASELINE, AGENT)
COUNTS = {
    "episodes": int,
    "evaluations": int,
    "cache_hits": int,
    "seconds": float,
    "inference_seconds": float,
    "best_reward": float,
}
MARK = {"score": float, "divergence": float, "costs": {str: float}, "reward": NUMBER}
POINT = {
    "name": str,
    "role?": str,
    "method": str,
    "budget": str,
    "budget_cost": float,
    "score_validation": float,
    **dict.fromkeys(("latency_measured_ms", "latency_promised_ms", "energy_mj"), NUMBER),
}
FRONT = {"range": str, "cost": str, "best": [str], "points": [POINT], "hypervolume?": {str: float}}
SURFACE = {"groups": [str], "widths": [[int]], "paying": [[int]], "latency_ms": [[float]]}
DEVICE = {"device": str, "runtime": str}
SUMMARY = {"median": float, "p90": float, "worst": float, "plans": int}
MIXES = {
    "error": SUMMARY,
    **{name: [float] for name in ("measured_ms", "promised_ms")},
    **{name: [int] for name in ("dropped", "int8")},
    "held_out": [bool],
}
PROFILE = {
    **dict.fromkeys(("title", "energy_source"), str),
    **{name: [float] for name in ("measured_ms", "promised_ms", "energy_mj", "metered_ms", "metered_mj")},
    "error": SUMMARY,
    "held_out": [bool],
    "surface": SURFACE,
    "mixes?": MIXES,
}
RESULT = {
    **dict.fromkeys(("network", "task", "metric", "agent", "reward", "verdict", "energy_source", "winner"), str),
    **dict.fromkeys(("seed", "samples"), int),
    "batchnorm?": {"share": float, "pruned": {str: NUMBER}, "dense": {str: NUMBER}},
    "budgets": [str],
    "limits": {str: float},
    "device": (DEVICE, None),
    "groups": [{"name": str, "width": int}],
    "rows": [{"name": str, "role": str, "widths": [int]}],
    "front": (FRONT, None),
    "notes": [str],
    "details?": details.SHAPE,
    "marks": {str: MARK},
    "searches": {str: COUNTS},
    "seconds": {str: float},
    "profile": (PROFILE, None),
}
"""See :mod:`rlprune.experiments.runs.shapes`. ``outputs.result_of`` writes it."""


def checked_result(result: dict[str, Any], path: Path) -> dict[str, Any]:
    """``result``, where it is whole: every value of its kind, and rows that fit the groups.

    Raises:
        RunError: the first thing that is wrong.
    """
    if result.get("schema") != SCHEMA:
        raise RunError(f"{path} must have schema {SCHEMA!r}; {result.get('schema')!r:.80} came. Train again.")
    try:
        wrong = next(mismatches(result, RESULT), None) or _disagreement(_renewed(result))
    except RunError as reason:
        raise RunError(f"{path}: {reason}") from reason
    if wrong is not None:
        raise RunError(f"{path} does not hold the result of a run: {wrong:.200}. Train again.")
    return result


def _renewed(result: dict[str, Any]) -> dict[str, Any]:
    """``result`` with today's roles: once the filled plan was called uniform, and the agent's row learned."""
    front = result.get("front") or {}
    rows = [*result["rows"], *front.get("points", [])]
    once = {LEARNED: AGENT}
    if not any(row.get("role") == FILLED for row in rows):
        once[UNIFORM] = FILLED
        volumes = front.get("hypervolume", {})
        if UNIFORM in volumes:
            volumes[FILLED] = volumes.pop(UNIFORM)
    for row in rows:
        row["role"] = once.get(row.get("role"), row.get("role"))
    return result


def _disagreement(result: dict[str, Any]) -> str | None:
    """What cannot be true of values that are each of their kind."""
    groups = result["groups"]
    if not groups or not all(group["width"] > 0 for group in groups):
        return "groups must be there, each with a width above 0"
    for name in result["searches"]:
        plain_name(name, RunError)
    rows = [Row.from_dict(row) for row in result["rows"]]
    if any(len(row.widths) != len(groups) for row in rows):
        return f"every row must have {len(groups)} widths, one a group"
    if not any(row.role == DENSE for row in rows):
        return "rows must have the dense network"
    if any(row.role in REWARDED and row.reward is None for row in rows):
        return "every row that was searched must have a reward"
    if "details" in result and (wrong := details.wrong_details(result["details"], [row.name for row in rows])):
        return wrong
    missing = {"dense", "uniform"} - set(result["marks"])
    return f"marks must have {', '.join(sorted(missing))}" if missing or not result["searches"] else None
