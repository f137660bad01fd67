"""The claims about the search: tables of episodes, marks, finalists, policy, front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlprune.agents import AGENTS, Policy
from rlprune.agents.replay import replayed_plan
from rlprune.budgets.limits import cost_name
from rlprune.evaluation.problem import Outcome
from rlprune.evaluation.quality import Quality
from rlprune.evaluation.range_plane import hypervolumes
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.episodes import EpisodeTable, read_csv
from rlprune.experiments.runs.ranking import best_first
from rlprune.experiments.runs.result import StatedFinalist
from rlprune.experiments.runs.row import POLICY_ALONE, Row
from rlprune.experiments.settings.result_configs import ValidateConfig
from rlprune.experiments.validating.claims import EXACT, SUMS, Claims
from rlprune.experiments.validating.rebuilding import DENSE, Rebuilt
from rlprune.experiments.validating.tolerances import Tolerances

COUNTS = ("evaluations", "cache_hits")


def check_tables(claims: Claims, rebuilt: Rebuilt) -> dict[str, EpisodeTable]:
    """The table of each method against the counts of the result; the tables that can be read."""
    tables: dict[str, EpisodeTable] = {}
    for name, counted in rebuilt.result.searches.items():
        with claims.reading("table of episodes", name, f"episodes-{name}.csv"):
            table = tables[name] = read_csv(rebuilt.run.path / f"episodes-{name}.csv")
            claims.equal("episodes", name, counted.episodes, len(table.widths))
            for count in COUNTS:
                claims.near(count, name, getattr(counted, count), float(table[count][-1]), EXACT)
            claims.near("best reward", name, counted.best_reward, float(np.nanmax(table["reward"])), EXACT)
    return tables


def check_marks(claims: Claims, rebuilt: Rebuilt, tables: Mapping[str, EpisodeTable], tolerances: Tolerances) -> None:
    """What the search itself saw of each row's plan, on its own samples."""
    rows = {row.name: row for row in rebuilt.result.rows}
    for name, mark in rebuilt.result.marks.items():
        row = rows.get(name)
        if row is None or rebuilt.impossible(row.widths) is not None:
            continue
        outcome = rebuilt.outcome(row.widths, mark.reward)
        quality = rebuilt.evaluator.dense if row.role == DENSE else outcome.quality
        values = {"score": mark.score, "divergence": mark.divergence, **mark.costs}
        _check_outcome(claims, rebuilt, name, values, outcome, quality, tolerances)
        if row.role == DENSE:
            continue
        claims.near("reward is the row's", name, mark.reward, row.reward, EXACT)
        if name in tables and not _borrowed(rebuilt, row.widths):
            claims.equal("reward is an episode's", name, "yes", _stands(tables[name], row), "with these channels")


def _borrowed(rebuilt: Rebuilt, widths: tuple[int, ...]) -> bool:
    """Over a range, a method without a plan at a budget has the filled uniform one."""
    return any(tuple(problem.planner.filled.tolist()) == widths for problem in rebuilt.levels)


def _stands(table: EpisodeTable, row: Row) -> str:
    same = (table.widths == np.array(row.widths)).all(axis=1) & (table["reward"] == row.reward)
    return "yes" if same.any() else "no"


def _check_outcome(
    claims: Claims,
    rebuilt: Rebuilt,
    subject: str,
    values: Mapping[str, Any],
    outcome: Outcome,
    quality: Quality,
    tolerances: Tolerances,
) -> None:
    claims.near("score", subject, values["score"], quality.score, tolerances.score(quality.samples))
    claims.near("divergence", subject, values["divergence"], quality.divergence, tolerances.divergence)
    known = {cost_name(metric): cost for metric, cost in outcome.costs.items()}
    for metric in dict.fromkeys(["macs", "params", "latency", "energy", *rebuilt.problem.planner.limits]):
        name = cost_name(metric)
        if name not in values:
            continue
        if name not in known and rebuilt.lacking is not None:
            claims.unchecked(name, subject, values[name], rebuilt.lacking)
        else:
            claims.near(name, subject, values[name], known.get(name), SUMS)


def check_evaluations(
    claims: Claims,
    rebuilt: Rebuilt,
    tables: Mapping[str, EpisodeTable],
    settings: ValidateConfig,
    tolerances: Tolerances,
    progress: Progress,
) -> None:
    """Episodes drawn from all tables, evaluated again."""
    lines = [(name, index) for name, table in tables.items() for index in range(len(table.widths))]
    draw = np.random.default_rng(settings.seed)
    drawn = draw.permutation(len(lines))[: settings.evaluations].tolist()
    if not drawn:
        claims.unchecked("episodes", "all", None, "none was evaluated again (--evaluations 0)")
        return
    with progress.bar("repeat", len(drawn)) as bar:
        for name, index in (lines[place] for place in sorted(drawn)):
            _check_line(claims, rebuilt, name, tables[name], index, tolerances)
            bar.step(name)


def _check_line(
    claims: Claims, rebuilt: Rebuilt, name: str, table: EpisodeTable, index: int, tolerances: Tolerances
) -> None:
    subject, widths = f"episode {index + 1} of {name}", table.widths[index].tolist()
    if (reason := rebuilt.impossible(widths)) is not None:
        claims.differs("channels", subject, widths, reason)
        return
    values = {column: float(entries[index]) for column, entries in table.columns.items()}
    outcome = rebuilt.outcome(widths, values["reward"])
    _check_outcome(claims, rebuilt, subject, values, outcome, outcome.quality, tolerances)
    if rebuilt.lacking is None:
        claims.near("reward", subject, values["reward"], outcome.reward, tolerances.reward)
    else:
        claims.unchecked("reward", subject, values["reward"], rebuilt.lacking)


def check_finalists(claims: Claims, rebuilt: Rebuilt, tolerances: Tolerances, progress: Progress) -> None:
    """Each row is the best of its finalists; those of the winner are scored again."""
    result = rebuilt.result
    rows = {row.name: row for row in result.rows}
    for name, listed in result.finalists.items():
        best = listed[best_first([item.standing for item in listed])[0]]
        why = "score, within its noise divergence"
        claims.equal("row is the best finalist", name, list(rows[name].widths), list(best.widths), why)
    winner = result.finalists.get(result.winner, [])
    with progress.bar("finalists", len(winner)) as bar:
        for place, item in enumerate(winner, start=1):
            _check_finalist(claims, rebuilt, f"finalist {place} of {result.winner}", item, tolerances)
            bar.step("")


def _check_finalist(
    claims: Claims, rebuilt: Rebuilt, subject: str, item: StatedFinalist, tolerances: Tolerances
) -> None:
    if (reason := rebuilt.impossible(item.widths)) is not None:
        claims.differs("channels", subject, list(item.widths), reason)
        return
    found = rebuilt.evaluator.finalist(np.array(item.widths))
    score = tolerances.score(found.samples)
    claims.near("validation score", subject, item.score_validation, found.score, score)
    claims.near("validation divergence", subject, item.divergence, found.divergence, tolerances.divergence)


def check_policy(claims: Claims, rebuilt: Rebuilt) -> None:
    """The policy can be loaded, and walks to the plans that the run states, each time."""
    result = rebuilt.result
    if result.agent not in AGENTS:
        return
    with claims.reading("policy", result.agent, "policy.safetensors"):
        policy = Policy.load(rebuilt.run.path)
        if rebuilt.lacking is not None:
            claims.unchecked("plan of the policy", result.agent, result.policy, rebuilt.lacking)
            return
        problem = rebuilt.at(result.budgets[0])
        first, second = (replayed_plan(policy, problem).tolist() for _ in range(2))
        claims.equal("plan of a second walk", result.agent, first, second)
        if result.policy is not None:
            claims.equal("plan of the policy", result.agent, result.policy, first)
        for point in [] if result.front is None else result.front.points:
            if point.method == POLICY_ALONE:
                found = replayed_plan(policy, rebuilt.at(point.budget)).tolist()
                claims.equal("plan of the policy", f"at {point.budget}", list(point.widths), found)


def check_front(claims: Claims, rebuilt: Rebuilt, tables: Mapping[str, EpisodeTable], tolerances: Tolerances) -> None:
    """The hypervolumes follow from the episodes."""
    front = rebuilt.result.front
    if front is None:
        return
    if rebuilt.lacking is not None:
        claims.unchecked("hypervolume", "all methods", None, rebuilt.lacking)
        return
    metric = rebuilt.levels[0].planner.budgets[0].metric
    with claims.reading("hypervolume", "all methods", front.hypervolume):
        outcomes = {name: _outcomes(rebuilt, table) for name, table in tables.items()}
        found = hypervolumes(rebuilt.levels, metric, outcomes)
        for name, volume in front.hypervolume.items():
            if name in found:
                claims.near("hypervolume", name, volume, found[name], tolerances.reward)


def _outcomes(rebuilt: Rebuilt, table: EpisodeTable) -> list[Outcome]:
    """The episodes as they stand in the table, nothing evaluated."""
    samples = rebuilt.evaluator.dense.samples
    qualities = zip(table["score"].tolist(), table["divergence"].tolist(), strict=True)
    return [
        rebuilt.problem.judged(widths, Quality(score, divergence, samples))
        for widths, (score, divergence) in zip(table.widths, qualities, strict=True)
    ]
