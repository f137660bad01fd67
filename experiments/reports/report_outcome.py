"""The part of a report for readers in a hurry: what was asked, what came out, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Collection

from rlprune.budgets.limits import Budget, cost_name, format_cost
from rlprune.experiments.presenting.document import Block, Bullets, Figure, Figures, Section, Words
from rlprune.experiments.runs.columns import score_text
from rlprune.experiments.runs.result import UNSEARCHED, Result, Row
from rlprune.experiments.runs.run_folder import COMPACT, ONNX, TENSORS
from rlprune.experiments.runs.verdict import COLLAPSE, listed, ranked, same_plan

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
DELIVERED = {ONNX: "the network", TENSORS: "its weights", COMPACT: "its weights as stored"}


def rows_of(result: Result) -> list[Row]:
    """The table's rows."""
    return result.rows


def winner_of(result: Result) -> Row:
    """The best pruned network, whose plan the run keeps."""
    return next(row for row in rows_of(result) if row.name == result.winner)


def dense_of(result: Result) -> Row:
    """The network as it came."""
    return next(row for row in rows_of(result) if row.role == "dense")


def opening(result: Result, files: Collection[str] = ()) -> list[Block]:
    """What was asked, what came out in large numbers, who found it, and what is wrong with it.

    Args:
        files: of the pruned network that are there.
    """
    warnings = [Words(f"**Collapse:**{text}", warning=True) for text in result.verdict.split(COLLAPSE)[1:]]
    return [Words(_asked(result)), Figures(_figures(result)), Words(_found_by(result, files)), *warnings]


def _asked(result: Result) -> str:
    device = result.device
    where = "" if device is None else f" on **{device['device']}** with {device['runtime']}"
    begin = f"**Asked:** prune **{result.network}**, so that{where} it needs"
    end = f"and loses as little {result.metric} on {result.task} as possible."
    front = result.front
    if front is None:
        limits = " and ".join(budget_words(text, result) for text in result.budgets)
        return f"{begin} {limits}, {end}"
    return (
        f"{begin} less, for every budget in {front.range}, {end} "
        f"The figures below are of {front.chosen}, which the preferences chose."
    )


def budget_words(text: str, result: Result) -> str:
    """A budget in plain words.

    Raises:
        BudgetError: the text is none.
    """
    budget = Budget.parse(text)
    limit = format_cost(budget.metric, result.limits[cost_name(budget.metric)])
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
        figures.append(_less("energy", dense.energy_mj, best.energy_mj, "mJ", call + result.energy_source))
    figures.append(_less("size", dense.size_bytes / 1e3, best.size_bytes / 1e3, "kB", "as stored"))
    return [*figures, _less("MACs", dense.macs / 1e6, best.macs / 1e6, "M", "of one sample")]


def _score_figure(result: Result, dense: Row, best: Row) -> Figure:
    tested = best.score_test is not None
    after, before = (best.score_test, dense.score_test) if tested else (best.score_validation, dense.score_validation)
    kind = "test" if tested else "validation"
    counts = result.images
    if result.metric != "accuracy" or counts is None:
        return Figure(f"{result.metric}, {kind} samples", score_text(after), f"dense: {score_text(before)}")
    error = _binomial(after or 0.0, counts[kind])
    detail = f"dense: {score_text(before)}; ± {score_text(error)} on {counts[kind]} samples"
    return Figure(f"{result.metric}, {kind} samples", score_text(after), detail)


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


def _found_by(result: Result, files: Collection[str]) -> str:
    who = _finders(result)
    told = [f"`{name}` {what}" for name, what in DELIVERED.items() if name in files]
    where = ", ".join(["`plan.json` is this plan", *told])
    return f"**Found by** {who}; chosen by the validation samples. {where}."


def _finders(result: Result) -> str:
    """All methods that came to the kept plan."""
    found, agent = same_plan(rows_of(result), winner_of(result)), result.agent
    names = listed([f"**{row.name}**" for row in found])
    searchers = [row.name for row in found if row.role not in UNSEARCHED]
    if not searchers:
        return f"{names}, without any search: {agent} found nothing better"
    if len(found) > 1:
        return f"{names}: the same plan"
    return names if searchers == [agent] else f"{names}, not by {agent}"


def certainty(result: Result) -> Section:
    """How far the figures can be trusted."""
    promises = [text for text in _promises(result) if text not in result.notes]
    points = [_samples(result), _score_error(result), _margin(result), *promises, _seeds(result)]
    return Section(
        "How sure",
        [Bullets([text for text in points if text]), Words("The run notes:"), Bullets(list(map(str, result.notes)))],
    )


def _samples(result: Result) -> str:
    counts = result.images
    if counts is None:
        return f"Plans were scored on {result.samples} validation samples during the search."
    return (
        f"Plans were scored on {result.samples} validation samples during the search, the best of them on all "
        f"{counts['validation']}, and those in the table once, at the end, on {counts['test']} test samples."
    )


def _score_error(result: Result) -> str:
    """The binomial standard error of the test accuracy."""
    best, counts = winner_of(result), result.images
    if result.metric != "accuracy" or counts is None or best.score_test is None:
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
    """How far the best score is ahead of the next, beside what chance does."""
    order = sorted(ranked(rows_of(result)), key=lambda row: -row.score_validation)
    best = order[0]
    others = [row for row in order if row.widths != best.widths]
    noise = result.noise
    if not others or others[0].standing.behind is None or noise is None:
        return ""
    first, low_high = others[0], others[0].standing.behind
    lead, metric = best.score_validation - first.score_validation, result.metric
    if lead == 0:
        return f"{best.name} and {first.name} have the same validation {metric}; divergence decided."
    bounds = " to ".join(difference_text(value, best.score_validation) for value in low_high)
    meaning = "which may be chance: divergence decided" if low_high[0] <= 0 else "more than chance explains"
    return (
        f"The best validation {metric}, of {best.name}, is {difference_text(lead, best.score_validation)} ahead of the "
        f"next, of {first.name}, {meaning}. ({noise.level:.0%} of {noise.draws} sets of validation samples drawn "
        f"again, the same for both: {bounds}.)"
    )


def difference_text(value: float, score: float) -> str:
    """A difference of scores for people: in points where the score is a percentage."""
    return f"{100 * value:+.2f} points" if 0 <= score <= 1 else f"{value:+.4f}"


def _promises(result: Result) -> list[str]:
    """The profile's own error, and every limited latency as it was measured."""
    error = (result.device or {}).get("profile error")
    found = [] if error is None else [f"How far the profile's promises of latency were off: {error}."]
    return [*found, *(text for text, _ in _measured(result))]


def over_budget(result: Result) -> list[str]:
    """That the kept network missed a budget when it was measured, where it did."""
    return [text for text, used in _measured(result) if used > 1]


def _measured(result: Result) -> list[tuple[str, float]]:
    """Every limited latency of the kept network as it was measured: in words, and as a share of its budget."""
    best, dense, found = winner_of(result), dense_of(result), []
    for text in result.budgets:
        budget = Budget.parse(text)
        measured = {"latency": best.latency_measured_ms, "latency_p99": best.latency_p99_measured_ms}.get(budget.metric)
        if measured is None:
            continue
        if budget.metric == "latency" and budget.unit is None and dense.latency_measured_ms is not None:
            share = measured / dense.latency_measured_ms
            words = f"{share:.1%} of the dense network's {NAMES[budget.metric]}, timed beside it"
            found.append(_held(words, f"{budget.value:.3g}", share / budget.value))
        else:
            limit = result.limits[cost_name(budget.metric)]
            found.append(_held(f"{measured:.4g} ms ({NAMES[budget.metric]})", f"{limit:.4g} ms", measured / limit))
    return found


def _held(took: str, limit: str, used: float) -> tuple[str, float]:
    beside = f"{used - 1:.1%} over" if used > 1 else f"{1 - used:.1%} below"
    return f"Measured at the end: the kept network took {took}, {beside} the budget of {limit}.", used


def _seeds(result: Result) -> str:
    return (
        f"This is one run with seed {result.seed}: another seed may find another plan. Repeat it with another "
        "`--seed`, and put the runs side by side with `rlprune compare`."
    )
