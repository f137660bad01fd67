"""The claims about networks: those of the table and of a front, and the finalists that they were chosen from."""

from __future__ import annotations

from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import cost_name
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.row import DENSE, Row
from rlprune.experiments.validating.claims import Claims
from rlprune.experiments.validating.comparing import Comparison
from rlprune.experiments.validating.rebuilding import Rebuilt
from rlprune.experiments.validating.recomputing import Listed, finalist_of

OF_ROWS = ("evaluations", "behind_low", "behind_high")
"""Fields that are known of rows of the table alone, not of points of a front."""


def is_possible(claims: Claims, rebuilt: Rebuilt, subject: str, widths: tuple[int, ...]) -> bool:
    """Whether there is a network of these channels; where there is none, they differ."""
    reason = rebuilt.impossible(widths)
    if reason is not None:
        claims.differs("channels", subject, widths, reason)
    return reason is None


def check_network(comparison: Comparison, rebuilt: Rebuilt, item: Listed, found: Row) -> None:
    """Its fields, and that it keeps to the budgets."""
    row, claims = item.row, comparison.claims
    if not is_possible(claims, rebuilt, item.subject, row.widths):
        return
    taken = ("widths",) if found.widths is row.widths else ()
    comparison.compare(item.subject, row, found, taken if item.subject == row.name else (*taken, *OF_ROWS))
    if row.role != DENSE and rebuilt.lacking is not None:
        claims.unchecked("within the budgets", item.subject, "yes", rebuilt.lacking)
    elif row.role != DENSE:
        costs = item.problem.planner.costs_of(rebuilt.problem.space.as_matrix(row.widths)[0])
        for metric, limit in item.problem.planner.limits.items():
            within = "no" if costs[metric] > limit * FITS else "yes"
            why = f"{costs[metric]:.6g} of {limit:.6g} {cost_name(metric)}"
            claims.equal(f"within {metric}", item.subject, "yes", within, why)


def check_finalists(comparison: Comparison, rebuilt: Rebuilt, progress: Progress) -> None:
    """Those of the winner, scored again."""
    winner = rebuilt.result.winner
    finalists = rebuilt.result.finalists.get(winner, [])
    with progress.bar("finalists", len(finalists)) as bar:
        for place, finalist in enumerate(finalists, start=1):
            subject = f"finalist {place} of {winner}"
            if is_possible(comparison.claims, rebuilt, subject, finalist.widths):
                comparison.compare(subject, finalist, finalist_of(rebuilt, finalist))
            bar.step("")
