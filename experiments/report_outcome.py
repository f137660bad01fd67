"""The part of a report for readers in a hurry: what was asked, what came out, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rlprune.experiments.document import Block, Bullets, Figure, Figures, Section, Words
from rlprune.experiments.rows import Row, score_text
from rlprune.experiments.verdict import ranked
from rlprune.limits import Budget, cost_name, format_cost

Result = Mapping[str, Any]

COLLAPSE = " **Collapse:**"
NAMES = {
    "macs": "multiply-adds (MACs)",
    "params": "parameters",
    "weights": "weights that remain",
    "size": "size as stored",
    "latency": "latency",
    "latency_p50": "median latency",
    "latency_p95": "latency in 95 of 100 inferences",
    "latency_p99": "latency in 99 of 100 inferences",
    "energy": "energy",
}
DRIFT = 0.02
"""Relative change of the dense network's latency from which on it is told."""


def rows_of(result: Result) -> list[Row]:
    """The table's rows."""
    return [Row.from_dict(row) for row in result["rows"]]


def winner_of(result: Result) -> Row:
    """The best pruned network, whose plan the run keeps."""
    return next(row for row in rows_of(result) if row.name == result["winner"])


def dense_of(result: Result) -> Row:
    """The network as it came."""
    return next(row for row in rows_of(result) if row.role == "dense")


def opening(result: Result) -> list[Block]:
    """What was asked, what came out in large numbers, who found it, and what is wrong with it."""
    warnings = [Words(f"**Collapse:**{text}", warning=True) for text in result["verdict"].split(COLLAPSE)[1:]]
    return [Words(_asked(result)), Figures(_figures(result)), Words(_found_by(result)), *warnings]


def _asked(result: Result) -> str:
    device = result["device"]
    where = "" if device is None else f" on **{device['device']}** with {device['runtime']}"
    begin = f"**Asked:** prune **{result['network']}**, so that{where} it needs"
    end = f"and loses as little {result['metric']} on {result['task']} as possible."
    front = result.get("front")
    if front is None:
        limits = " and ".join(budget_words(text, result) for text in result["budgets"])
        return f"{begin} {limits}, {end}"
    return (
        f"{begin} less, for every budget in {front['range']}, {end} "
        f"The figures below are of {front['chosen']}, which the preferences chose."
    )


def budget_words(text: str, result: Result) -> str:
    """A budget in plain words.

    Raises:
        BudgetError: the text is none.
    """
    budget = Budget.parse(text)
    limit = format_cost(budget.metric, result["limits"][cost_name(budget.metric)])
    if budget.unit is None:
        return f"at most {100 * budget.value:.3g}% of its {NAMES[budget.metric]} ({limit})"
    return f"at most {limit} ({NAMES[budget.metric]})"


def _figures(result: Result) -> list[Figure]:
    """Score, speed, energy and size of the kept plan, beside the dense network."""
    dense, best = dense_of(result), winner_of(result)
    figures, call = [_score_figure(result, dense, best)], call_words(dense.batch)
    if dense.latency_ms is not None and best.latency_ms is not None:
        kind = "measured" if best.latency_measured_ms is not None else "promised, not measured"
        figures.append(_faster(dense.latency_ms, best.latency_ms, call + kind))
    if dense.energy_mj is not None and best.energy_mj is not None:
        figures.append(_less("energy", dense.energy_mj, best.energy_mj, "mJ", call + result["energy_source"]))
    figures.append(_less("size", dense.size_bytes / 1e3, best.size_bytes / 1e3, "kB", "as stored"))
    return [*figures, _less("MACs", dense.macs / 1e6, best.macs / 1e6, "M", "of one sample")]


def _score_figure(result: Result, dense: Row, best: Row) -> Figure:
    tested = best.score_test is not None
    after, before = (best.score_test, dense.score_test) if tested else (best.score_validation, dense.score_validation)
    kind = "test" if tested else "validation"
    counts = result.get("images")
    if result["metric"] != "accuracy" or counts is None:
        return Figure(f"{result['metric']}, {kind} samples", score_text(after), f"dense: {score_text(before)}")
    error = _binomial(after or 0.0, counts[kind])
    detail = f"dense: {score_text(before)}; ± {score_text(error)} on {counts[kind]} samples"
    return Figure(f"{result['metric']}, {kind} samples", score_text(after), detail)


def _faster(before: float, after: float, kind: str) -> Figure:
    return Figure("speed", f"{before / after:.2f}×", f"{short(before)} → {short(after)} ms, {kind}")


def _less(label: str, before: float, after: float, unit: str, kind: str) -> Figure:
    return Figure(
        label, f"{after / before - 1:+.0%}".replace("-", "−"), f"{short(before)} → {short(after)} {unit}, {kind}"
    )


def call_words(batch: int) -> str:
    """How many samples latency and energy are of, where not of one."""
    return "" if batch == 1 else f"for {batch} samples, "


def short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _found_by(result: Result) -> str:
    best, agent = winner_of(result), result["agent"]
    who = {
        "learned": f"the agent **{best.name}**",
        "uniform": f"**{best.name}** pruning, without any search. The agent {agent} found nothing better",
    }.get(best.role, f"the baseline **{best.name}**, not by the agent {agent}")
    where = "`plan.json` is this plan, `pruned.onnx` the network"
    levels = zip(result["groups"], best.widths, strict=False)
    if any(choice.get("kind") in ("weights", "bits") and level < choice["width"] for choice, level in levels):
        where += ", `pruned.compact.safetensors` its weights as stored"
    return f"**Found by** {who}; chosen by the validation samples. {where}."


def certainty(result: Result) -> Section:
    """How far the figures can be trusted."""
    points = [_samples(result), _score_error(result), _margin(result), *_promises(result), _seeds(result)]
    return Section(
        "How sure",
        [Bullets([text for text in points if text]), Words("The run notes:"), Bullets(list(map(str, result["notes"])))],
    )


def _samples(result: Result) -> str:
    counts = result.get("images")
    if counts is None:
        return f"Plans were scored on {result['samples']} validation samples during the search."
    return (
        f"Plans were scored on {result['samples']} validation samples during the search, the best of them on all "
        f"{counts['validation']}, and those in the table once, at the end, on {counts['test']} test samples."
    )


def _score_error(result: Result) -> str:
    """The binomial standard error of the test accuracy."""
    best, counts = winner_of(result), result.get("images")
    if result["metric"] != "accuracy" or counts is None or best.score_test is None:
        return ""
    error = _binomial(best.score_test, counts["test"])
    return (
        f"Test accuracy: {score_text(best.score_test)} ± {score_text(error)} (one binomial standard error; one sample "
        f"is {score_text(1 / counts['test'])})."
    )


def _binomial(share: float, count: int) -> float:
    """Standard error of a share of ``count`` samples; one sample where all or none are right."""
    return max(math.sqrt(share * (1 - share) / count), 1 / count)


def _margin(result: Result) -> str:
    """How far the best plan is ahead of the second, beside what chance does."""
    order, counts = ranked(rows_of(result)), result.get("images")
    if len(order) < 2 or counts is None or result["metric"] != "accuracy":
        return ""
    first, second = (row.score_validation for row in order[:2])
    if first == second:
        return f"{order[0].name} and {order[1].name} are equal on the validation samples; divergence decided."
    ahead = round((first - second) * counts["validation"])
    noise = math.hypot(*(_binomial(score, counts["validation"]) for score in (first, second)))
    meaning = "more than chance explains" if first - second > 2 * noise else "which may be chance"
    return (
        f"{order[0].name} is {ahead} of {counts['validation']} validation samples ahead of {order[1].name}, {meaning} "
        f"(two standard errors of the difference are {score_text(2 * noise)} at most)."
    )


def _promises(result: Result) -> list[str]:
    """The profile's own error, and every limited cost as it was measured."""
    error = (result["device"] or {}).get("profile error")
    found = [] if error is None else [f"How far the profile's promises of latency were off: {error}."]
    best = winner_of(result)
    if "latency_ms" in result["limits"] and best.latency_measured_ms is not None:
        found.append(_held("latency", result["limits"]["latency_ms"], best.latency_measured_ms))
        found += _drift(dense_of(result), best, result["limits"]["latency_ms"])
    if "latency_p99_ms" in result["limits"] and best.latency_p99_measured_ms is not None:
        found.append(_held(NAMES["latency_p99"], result["limits"]["latency_p99_ms"], best.latency_p99_measured_ms))
    return found


def _held(name: str, limit: float, measured: float) -> str:
    return (
        f"The budget limits what the profile promises, {limit:.4g} ms. The measured {name} of {measured:.4g} ms is "
        f"{_beside(measured, limit)} that."
    )


def _drift(dense: Row, best: Row, limit: float) -> list[str]:
    """The same with the machine's drift since the profile taken out, where it matters."""
    if dense.latency_promised_ms is None or dense.latency_measured_ms is None or best.latency_corrected_ms is None:
        return []
    drift = dense.latency_measured_ms / dense.latency_promised_ms - 1
    if abs(drift) < DRIFT:
        return []
    longer = "longer" if drift > 0 else "less"
    return [
        f"The machine changed since the profile: the dense network took {abs(drift):.1%} {longer} than promised. "
        f"With that taken out, {best.latency_corrected_ms:.4g} ms is {_beside(best.latency_corrected_ms, limit)} the "
        "limit."
    ]


def _beside(value: float, reference: float) -> str:
    ratio = value / reference - 1
    return f"{ratio:.1%} over" if ratio > 0 else f"{-ratio:.1%} below"


def _seeds(result: Result) -> str:
    return (
        f"This is one run with seed {result['seed']}: another seed may find another plan. Repeat it with another "
        "`--seed`, and put the runs side by side with `rlprune compare`."
    )
