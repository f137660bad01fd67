"""The part of a report for readers in a hurry: what was asked, what came out against uniform, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Collection

from rlprune.budgets.limits import Budget, cost_name, format_cost, plain
from rlprune.costs.registry import METRICS, Metric, metric_of
from rlprune.experiments.presenting.document import Block, Bullets, Figure, Figures, Folded, Section, Table, Words
from rlprune.experiments.runs.columns import P99_NOTE, columns, is_share, score_text
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.row import UNIFORM, UNSEARCHED, Row
from rlprune.experiments.runs.run_folder import COMPACT, ONNX, TENSORS
from rlprune.experiments.runs.verdict import COLLAPSE, listed, ranked, same_plan

DELIVERED = {ONNX: "the network", TENSORS: "its weights", COMPACT: "its weights as stored"}


def winner_of(result: Result) -> Row:
    """The best pruned network, whose plan the run keeps."""
    return next(row for row in result.rows if row.name == result.winner)


def dense_of(result: Result) -> Row:
    """The network as it came."""
    return next(row for row in result.rows if row.role == "dense")


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
    if result.front is None:
        limits = " and ".join(budget_words(text, result) for text in result.budgets)
        return f"{begin} {limits}, {end}"
    return (
        f"{begin} less, for every budget in {result.front.range}, {end} "
        f"The figures below are of {result.front.chosen}, which the preferences chose."
    )


def budget_words(text: str, result: Result) -> str:
    """A budget in plain words.

    Raises:
        BudgetError: the text is none.
    """
    budget = Budget.parse(text)
    limit = format_cost(budget.metric, result.limits[cost_name(budget.metric)])
    if budget.unit is None:
        return f"at most {100 * budget.value:.3g}% of its {_words(budget.metric)} ({limit})"
    return f"at most {limit} ({_words(budget.metric)})"


def _words(metric: str) -> str:
    return METRICS[metric].words


def _figures(result: Result) -> list[Figure]:
    """Score, speed, energy, size, MACs and whatever else is limited of the kept plan, beside the dense network."""
    dense, best = dense_of(result), winner_of(result)
    call = "" if dense.batch == 1 else f"for {dense.batch} samples, "
    figures = [_score_figure(result, dense, best)]
    if dense.latency_ms is not None and best.latency_ms is not None:
        kind = "measured" if best.latency_measured_ms is not None else "promised, not measured"
        change = f"{short(dense.latency_ms)} → {short(best.latency_ms)} ms, {call}{kind}"
        figures.append(Figure("speed", f"{dense.latency_ms / best.latency_ms:.2f}×", change))
    if dense.energy_mj is not None and best.energy_mj is not None:
        figures.append(_less("energy", dense.energy_mj, best.energy_mj, "mJ", call + result.energy_source))
    figures.append(_less("size", dense.size_bytes / 1e3, best.size_bytes / 1e3, "kB", "as stored"))
    figures.append(_less("MACs", dense.macs / 1e6, best.macs / 1e6, "M", "of one sample"))
    return figures + [_limited(metric_of(column), dense, best) for column in result.limits if column in best.costs]


def _limited(metric: Metric, dense: Row, best: Row) -> Figure:
    unit, scale = metric.shown
    kind = "promised, not measured" if metric.is_timed else "counted"
    return _less(metric.label, dense.costs[metric.column] / scale, best.costs[metric.column] / scale, unit, kind)


def _score_figure(result: Result, dense: Row, best: Row) -> Figure:
    split = "validation" if best.score_test is None else "test"
    error = _error_of(result, best, split)
    detail = f"dense: {_score(result, dense, split)}"
    if error is not None and result.images is not None:
        detail += f"; ± {score_text(error, result.metric)} on {result.images[split]} samples"
    return Figure(f"{result.metric}, {split} samples", _score(result, best, split), detail)


def _score(result: Result, row: Row, split: str) -> str:
    return score_text(row.score_test if split == "test" else row.score_validation, result.metric)


def _less(label: str, before: float, after: float, unit: str, kind: str) -> Figure:
    change = f"{after / before - 1:+.0%}".replace("-", "−")
    return Figure(label, change, f"{short(before)} → {short(after)} {unit}, {kind}")


def short(value: float) -> str:
    """Three digits, or all before the point."""
    return plain(value, 3)


def _found_by(result: Result, files: Collection[str]) -> str:
    told = [f"`{name}` {what}" for name, what in DELIVERED.items() if name in files]
    where = ", ".join(["`plan.json` is this plan", *told])
    return f"**Found by** {_finders(result)}; chosen by the validation samples. {where}."


def _finders(result: Result) -> str:
    """All methods that came to the kept plan."""
    found, agent = same_plan(result.rows, winner_of(result)), result.agent
    names = listed([f"**{row.name}**" for row in found])
    searchers = [row.name for row in found if row.role not in UNSEARCHED]
    if not searchers:
        return f"{names}, without any search: {agent} found nothing better"
    if len(found) > 1:
        return f"{names}: the same plan"
    return names if searchers == [agent] else f"{names}, not by {agent}"


def against_uniform(result: Result, details: list[Block]) -> Section:
    """The kept plan beside uniform and all others, how far that can be trusted, and folded what else is known.

    Args:
        details: more measures than one score.
    """
    sure = certainty(result)
    notes = Bullets([note for note in result.notes if note not in sure.items])
    known = any(row.latency_p99_measured_ms is not None for row in result.rows)
    folded = [Folded("In detail", details)] if details else []
    return Section(
        "Against uniform",
        [
            *[Words(text) for text in [_beside_uniform(result)] if text],
            rows_table(result),
            Words(result.verdict.split(COLLAPSE)[0]),
            sure,
            *([Words(P99_NOTE)] if known else []),
            *folded,
            Folded("What the run notes", [notes]),
        ],
    )


def rows_table(result: Result, heads: Collection[str] = ()) -> Table:
    """The table of networks; the kept one stands out.

    Args:
        heads: of the columns that are shown; all of them where none is named.
    """
    shown = [column for column in columns(result.metric, result.rows) if not heads or column.head in heads]
    cells = [[column.cell(row) for column in shown] for row in result.rows]
    bold = next((index for index, row in enumerate(result.rows) if row.name == result.winner), None)
    return Table([column.title for column in shown], cells, bold)


def _beside_uniform(result: Result) -> str:
    """The kept plan and the uniform one in one sentence, with what chance does."""
    best = winner_of(result)
    uniform = next((row for row in result.rows if row.role == UNIFORM), None)
    if uniform is None:
        return ""
    if uniform.widths == best.widths:
        return "The kept plan is the uniform one: the largest share that all layers can keep alike within the budget."
    split = "validation" if best.score_test is None or uniform.score_test is None else "test"
    error = _error_of(result, best, split)
    sure = "" if error is None else f" (± {score_text(error, result.metric)}, one standard error)"
    words = (
        f"Within the same budget, **{best.name}** keeps {_score(result, best, split)} {result.metric} on the {split} "
        f"samples and **uniform** {_score(result, uniform, split)}{sure}; divergence from the dense network "
        f"{best.divergence:.4f} and {uniform.divergence:.4f}."
    )
    return words


def certainty(result: Result) -> Bullets:
    """How far the figures can be trusted."""
    points = [_samples(result), *_leads(result), *_promises(result), _seeds(result)]
    return Bullets([text for text in points if text])


def _samples(result: Result) -> str:
    counts = result.images
    if counts is None:
        return f"Plans were scored on {result.samples} validation samples during the search."
    return (
        f"Plans were scored on {result.samples} validation samples during the search, the best of them on all "
        f"{counts['validation']}, and those in the table once, at the end, on {counts['test']} test samples."
    )


def _error_of(result: Result, row: Row, split: str) -> float | None:
    """Standard error of an accuracy; one sample where all or none are right, None of another metric."""
    share = row.score_test if split == "test" else row.score_validation
    if result.metric != "accuracy" or result.images is None or share is None:
        return None
    count = result.images[split]
    return max(math.sqrt(share * (1 - share) / count), 1 / count)


def _leads(result: Result) -> list[str]:
    """How far the best validation score is ahead of the next plan's, and of the uniform one's."""
    order = sorted(ranked(result.rows), key=lambda row: -row.score_validation)
    others = [row for row in order if row.widths != order[0].widths]
    asked = dict.fromkeys(row.name for row in [*others[:1], *(row for row in others if row.role == UNIFORM)])
    found = {row.name: row for row in others}
    return [text for name in asked if (text := _lead(result, order[0], found[name]))]


def _lead(result: Result, best: Row, other: Row) -> str:
    """The lead of the best score, beside what chance does."""
    behind, metric = other.standing.behind, result.metric
    if behind is None or result.noise is None:
        return ""
    lead, share = best.score_validation - other.score_validation, is_share(best.score_validation, metric)
    if lead == 0:
        return f"{best.name} and {other.name} have the same validation {metric}; divergence decided."
    bounds = " to ".join(difference_text(value, share) for value in behind)
    meaning = "which may be chance: divergence decided" if behind[0] <= 0 else "more than chance explains"
    return (
        f"The best validation {metric}, of {best.name}, is {difference_text(lead, share)} ahead of "
        f"that of {other.name}, {meaning}. ({result.noise.level:.0%} of {result.noise.draws} sets of validation "
        f"samples drawn again, the same for both: {bounds}.)"
    )


def difference_text(value: float, share: bool) -> str:
    """A difference of scores for people: in points where they are percentages."""
    return f"{100 * value:+.2f} points" if share else f"{value:+.4f}"


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
            words = f"{share:.1%} of the dense network's {_words(budget.metric)}, timed beside it"
            found.append(_held(words, f"{budget.value:.3g}", share / budget.value))
        else:
            limit = result.limits[cost_name(budget.metric)]
            found.append(_held(f"{measured:.4g} ms ({_words(budget.metric)})", f"{limit:.4g} ms", measured / limit))
    return found


def _held(took: str, limit: str, used: float) -> tuple[str, float]:
    beside = f"{used - 1:.1%} over" if used > 1 else f"{1 - used:.1%} below"
    return f"Measured at the end: the kept network took {took}, {beside} the budget of {limit}.", used


def _seeds(result: Result) -> str:
    return (
        f"This is one run with seed {result.seed}: another seed may find another plan. Repeat it with another "
        "`--seed`, and put the runs side by side with `rlprune compare`."
    )
