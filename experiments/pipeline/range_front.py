"""What a range of budgets gave, as the result states it: every method at every budget, and whose front is best."""

from __future__ import annotations

import numpy as np

from rlprune.budgets.limits import cost_name
from rlprune.costs.registry import PROMISED
from rlprune.evaluation.pareto import dominated
from rlprune.evaluation.range_plane import hypervolumes
from rlprune.experiments.pipeline.best_plans import Chosen, losses_of
from rlprune.experiments.pipeline.candidate import Candidate
from rlprune.experiments.pipeline.findings import Findings
from rlprune.experiments.pipeline.provenance import Provenance
from rlprune.experiments.runs.result import Front
from rlprune.experiments.runs.row import StatedPoint
from rlprune.experiments.runs.verdict import hypervolume_text


def front_of(findings: Findings) -> Front:
    """The front of a run that searched several budgets."""
    config, chosen = findings.config, findings.chosen
    problem = chosen.problem
    metric = problem.planner.budgets[0].metric
    outcomes = {name: [episode.outcome for episode in search.episodes] for name, search in findings.searches.items()}
    volumes = hypervolumes(chosen.problems, metric, outcomes)
    return Front(
        range=str(config.budget_range()),
        cost=cost_name(metric),
        dense_cost=problem.dense_costs[metric],
        chosen=str(problem.planner.budgets[0]),
        hypervolume=volumes,
        verdict=hypervolume_text(config.agent, volumes, metric),
        best=_best(chosen, metric),
        points=[_point(chosen, item, metric, findings.provenance) for item in chosen.points],
    )


def _point(chosen: Chosen, item: Candidate, metric: str, provenance: Provenance) -> StatedPoint:
    row = item.row(chosen.problem.space, provenance)
    return StatedPoint.of(row, item.method, str(chosen.budget_of(item)), item.costs[metric])


def _best(chosen: Chosen, metric: str) -> list[str]:
    """Points that no other one beats in accuracy and in every measured or limited cost."""
    measured = [name for name in PROMISED if name in chosen.problem.costs]
    names = ["accuracy", *dict.fromkeys([metric, *measured])]
    losses = [losses_of(item.quality.score, item.costs, names) for item in chosen.points]
    beaten = dominated(np.array(losses))
    return [item.name for item, is_beaten in zip(chosen.points, beaten, strict=True) if not is_beaten]
