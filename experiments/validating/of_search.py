"""The claims that are checked in the search itself: tables of episodes, single episodes, and walks of the policy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rlprune.agents import AGENTS, Policy
from rlprune.agents.replay import replayed_plan
from rlprune.budgets.limits import cost_name
from rlprune.costs.registry import COUNTED, PROMISED
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.episodes import EpisodeTable, read_csv
from rlprune.experiments.runs.result import Mark
from rlprune.experiments.runs.row import DENSE, POLICY_ALONE, Row
from rlprune.experiments.settings.result_configs import ValidateConfig
from rlprune.experiments.validating.claims import Claims
from rlprune.experiments.validating.comparing import Comparison
from rlprune.experiments.validating.of_networks import is_possible
from rlprune.experiments.validating.rebuilding import Rebuilt
from rlprune.experiments.validating.recomputing import counts_of, mark_of, points_of


def check_tables(comparison: Comparison, rebuilt: Rebuilt) -> dict[str, EpisodeTable]:
    """The table of each method against the counts of the result; the tables that can be read."""
    tables: dict[str, EpisodeTable] = {}
    for name, counts in rebuilt.result.searches.items():
        with comparison.claims.reading("table of episodes", name, f"episodes-{name}.csv"):
            tables[name] = read_csv(rebuilt.run.episodes(name))
            comparison.compare(name, counts, counts_of(counts, tables[name]))
    return tables


def check_marks(comparison: Comparison, rebuilt: Rebuilt, tables: Mapping[str, EpisodeTable]) -> None:
    """What the search saw of each row's plan, which is one of its episodes."""
    rows = {row.name: row for row in rebuilt.result.rows}
    for name, mark in rebuilt.result.marks.items():
        row = rows.get(name)
        if row is None or rebuilt.impossible(row.widths) is not None:
            continue
        comparison.compare(name, mark, mark_of(rebuilt, mark, row.widths, row.role))
        if row.role != DENSE:
            comparison.claims.check("reward is the row's", name, mark.reward, row.reward)
        if name in tables and not _borrowed(rebuilt, row.widths):
            comparison.claims.equal("reward is an episode's", name, "yes", _stands(tables[name], row))


def _borrowed(rebuilt: Rebuilt, widths: tuple[int, ...]) -> bool:
    """Over a range, a method without a plan at a budget has the filled uniform one."""
    return any(tuple(problem.planner.filled.tolist()) == widths for problem in rebuilt.levels)


def _stands(table: EpisodeTable, row: Row) -> str:
    same = (table.widths == np.array(row.widths)).all(axis=1) & (table["reward"] == row.reward)
    return "yes" if same.any() else "no"


def check_episodes(
    comparison: Comparison,
    rebuilt: Rebuilt,
    tables: Mapping[str, EpisodeTable],
    settings: ValidateConfig,
    progress: Progress,
) -> None:
    """Episodes drawn from all tables, evaluated again."""
    lines = [(name, index) for name, table in tables.items() for index in range(len(table.widths))]
    draw = np.random.default_rng(settings.seed)
    drawn = draw.permutation(len(lines))[: settings.evaluations].tolist()
    if not drawn:
        comparison.claims.unchecked("episodes", "all", None, "none was evaluated again (--evaluations 0)")
        return
    costs = {cost_name(metric) for metric in (*COUNTED, *PROMISED, *rebuilt.problem.planner.limits)}
    with progress.bar("repeat", len(drawn)) as bar:
        for name, index in (lines[place] for place in sorted(drawn)):
            subject, widths = f"episode {index + 1} of {name}", tuple(tables[name].widths[index].tolist())
            mark = _seen(tables[name], index, costs)
            if is_possible(comparison.claims, rebuilt, subject, widths):
                comparison.compare(subject, mark, mark_of(rebuilt, mark, widths))
            bar.step(name)


def _seen(table: EpisodeTable, index: int, costs: set[str]) -> Mark:
    values = {column: float(entries[index]) for column, entries in table.columns.items()}
    known = {name: value for name, value in values.items() if name in costs}
    return Mark(values["score"], values["divergence"], known, values["reward"])


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
        for point in points_of(result):
            if point.method == POLICY_ALONE:
                found = replayed_plan(policy, rebuilt.at(point.budget)).tolist()
                claims.equal("plan of the policy", f"at {point.budget}", list(point.widths), found)
