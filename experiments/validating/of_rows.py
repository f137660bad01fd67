"""The claims about networks: the rows of the table, the points of a front, their plans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import cost_name
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.pipeline.candidate import score_on_test
from rlprune.experiments.runs.ranking import standings
from rlprune.experiments.runs.row import UNSEARCHED, Row
from rlprune.experiments.runs.run_folder import PLAN
from rlprune.experiments.runs.verdict import ranked
from rlprune.experiments.validating.claims import EXACT, SUMS, Claims
from rlprune.experiments.validating.rebuilding import DENSE, Rebuilt
from rlprune.experiments.validating.tolerances import Tolerances
from rlprune.plans.plan import PruningPlan

COUNTED = ("macs", "params", "size_bytes")
PROMISED = {
    "latency_promised_ms": "promised latency, ms",
    "latency_p99_promised_ms": "promised p99 latency, ms",
    "energy_promised_mj": "promised energy, mJ",
}


@dataclass(frozen=True)
class Listed:
    """A network that the result lists.

    Attributes:
        subject: for people.
        values: the row.
        problem: at its budget.
        plan: the file of its plan, relative to the run; None where none was written.
    """

    subject: str
    values: Row
    problem: PruningProblem
    plan: str | None

    @property
    def widths(self) -> list[int]:
        """Channels of each group, as claimed."""
        return list(self.values.widths)


def listed(rebuilt: Rebuilt) -> Iterator[Listed]:
    """Every row, then every point of the front."""
    result = rebuilt.result
    for row in result.rows:
        plan = None if row.role == DENSE else f"plans/{row.name}.json"
        yield Listed(row.name, row, rebuilt.at(result.budgets[0]), plan)
    for point in [] if result.front is None else result.front.points:
        method, budget = point.method, point.budget
        written = method in (result.agent, "policy")
        plan = f"plans/{method}-{budget.replace('=', '')}.json" if written else None
        yield Listed(f"{method} at {budget}", point, rebuilt.at(budget), plan)


def check_networks(claims: Claims, rebuilt: Rebuilt, networks: list[Listed], tolerances: Tolerances) -> None:
    """Everything about a network that needs no clock."""
    for item in networks:
        if item.plan is not None:
            _check_plan(claims, rebuilt, item.plan, item.subject, item.widths)
        if (reason := rebuilt.impossible(item.values.widths)) is not None:
            claims.differs("channels", item.subject, item.widths, reason)
            continue
        _check_row(claims, rebuilt, item, tolerances)


def _check_plan(claims: Claims, rebuilt: Rebuilt, path: str, subject: str, widths: list[int]) -> None:
    name = f"channels in {'plan.json' if path == PLAN else 'plans/'}"
    with claims.reading(name, subject, widths):
        plan = PruningPlan.load(rebuilt.run.path / path)
        claims.equal(name, subject, widths, plan.exact_levels(rebuilt.problem.space))


def _check_row(claims: Claims, rebuilt: Rebuilt, item: Listed, tolerances: Tolerances) -> None:
    made = rebuilt.candidate(item.widths, item.values.role)
    if item.values.role == DENSE:
        claims.equal("channels", item.subject, item.widths, made.levels.tolist())
    row = made.row(item.problem.space, rebuilt.facts)
    for name in COUNTED:
        claims.near(name, item.subject, getattr(item.values, name), getattr(row, name), EXACT)
    score = tolerances.score(made.quality.samples)
    claims.near("validation score", item.subject, item.values.score_validation, row.score_validation, score)
    claims.near("divergence", item.subject, item.values.divergence, row.divergence, tolerances.divergence)
    _check_promises(claims, rebuilt, item, row)
    _check_budgets(claims, rebuilt, item)
    if item.values.role != DENSE:
        _check_reward(claims, rebuilt, item, tolerances)


def _check_promises(claims: Claims, rebuilt: Rebuilt, item: Listed, row: Row) -> None:
    for name, text in PROMISED.items():
        claimed = getattr(item.values, name)
        if claimed is not None and rebuilt.lacking is not None:
            claims.unchecked(text, item.subject, claimed, rebuilt.lacking)
        else:
            claims.near(text, item.subject, claimed, getattr(row, name), SUMS)


def _check_budgets(claims: Claims, rebuilt: Rebuilt, item: Listed) -> None:
    """No pruned network may cost more than a limit; the limits follow from budgets and dense costs."""
    if item.values.role == DENSE:
        return
    if rebuilt.lacking is not None:
        claims.unchecked("within the budgets", item.subject, "yes", rebuilt.lacking)
        return
    costs = item.problem.planner.costs_of(rebuilt.problem.space.as_matrix(item.widths)[0])
    for metric, limit in item.problem.planner.limits.items():
        over = costs[metric] > limit * FITS
        why = f"{costs[metric]:.6g} of {limit:.6g} {cost_name(metric)}"
        claims.equal(f"within {metric}", item.subject, "yes", "no" if over else "yes", why)


def _check_reward(claims: Claims, rebuilt: Rebuilt, item: Listed, tolerances: Tolerances) -> None:
    claimed = item.values.reward
    if rebuilt.lacking is not None:
        claims.unchecked("reward", item.subject, claimed, rebuilt.lacking)
        return
    found = rebuilt.outcome(item.widths, claimed).reward
    claims.near("reward", item.subject, claimed, found, tolerances.reward)
    if (role := item.values.role) in UNSEARCHED:
        planned = item.problem.unsearched[role].levels
        claims.equal("channels are the planner's", item.subject, item.widths, planned.tolist())


def check_choice(claims: Claims, rebuilt: Rebuilt) -> None:
    """The winner follows from the rows, and the run keeps its plan; limits follow from the budgets."""
    result = rebuilt.result
    rows = result.rows
    best = ranked(rows)[0].name
    claims.equal("winner", "by validation score, within its noise by divergence", result.winner, best)
    kept = next((row for row in result.rows if row.name == result.winner), None)
    if kept is not None:
        _check_plan(claims, rebuilt, PLAN, result.winner, list(kept.widths))
    problem = rebuilt.at(result.budgets[0])
    if rebuilt.lacking is not None:
        claims.unchecked("limit", ", ".join(result.budgets), result.limits, rebuilt.lacking)
        return
    limits = {cost_name(metric): limit for metric, limit in problem.planner.limits.items()}
    for name in dict.fromkeys([*limits, *result.limits]):
        claims.near("limit", name, result.limits.get(name), limits.get(name), SUMS)


def check_noise(claims: Claims, rebuilt: Rebuilt, tolerances: Tolerances) -> None:
    """How far each row is behind the best beyond the noise, and how many plans its method evaluated."""
    result = rebuilt.result
    rows = [row for row in result.rows if row.role != DENSE and rebuilt.impossible(row.widths) is None]
    found = standings([rebuilt.candidate(row.widths, row.role).quality for row in rows])
    samples = len(rebuilt.evaluator.task.validation)
    for row, one in zip(rows, found, strict=True):
        for name, value in zip(("behind_low", "behind_high"), one.behind or (None, None), strict=True):
            if getattr(row, name) is not None:
                claims.near(name, row.name, getattr(row, name), value, tolerances.score(samples))
        if row.evaluations is not None and row.name in result.searches:
            counted = result.searches[row.name].evaluations
            claims.equal("evaluations are the search's", row.name, row.evaluations, counted)


def check_test(claims: Claims, rebuilt: Rebuilt, networks: list[Listed], tolerances: Tolerances) -> None:
    """The scores on the test samples: what was reported is checked, nothing is chosen by them."""
    rebuilt.complete(score_on_test(rebuilt.candidates(), rebuilt.evaluator))
    tolerance = tolerances.score(len(rebuilt.evaluator.task.test))
    for item in networks:
        if rebuilt.impossible(item.values.widths) is None:
            found = rebuilt.candidate(item.widths, item.values.role).score_test
            claims.near("test score", item.subject, item.values.score_test, found, tolerance)
