"""From run folders to fronts: what is asked of them, which runs may share one, and the plan that is chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rlprune.errors import ConfigError, RunError, unknown_name
from rlprune.experiments.fronting.choosing import KNEE, Chosen, Limit, choose, parse_limits
from rlprune.experiments.fronting.evaluated_plans import (
    FINAL,
    MEASURED,
    SEARCHED,
    EvaluatedPlan,
    comparable,
    measured_plans,
    searched_plans,
)
from rlprune.experiments.fronting.front import Front
from rlprune.experiments.fronting.fronts import Fronts
from rlprune.experiments.fronting.objectives import (
    FEWEST,
    OBJECTIVES,
    SCORE,
    TIMED,
    default_objectives,
    parse_objectives,
)
from rlprune.experiments.runs.conditions import DEVICE, SCENE, differences
from rlprune.experiments.runs.finished import FinishedRun, read_runs, told_as_malformed
from rlprune.experiments.settings.parsing import parse_preferences
from rlprune.experiments.settings.result_configs import FrontConfig

MOST_PLANS = 200_000


@dataclass(frozen=True)
class Wishes:
    """What is asked.

    Attributes:
        objectives: names; none for the usual ones.
        among: the front that a plan is chosen of.
        limits, way, weights: see :func:`rlprune.experiments.fronting.choosing.choose`.
        kept: take the plan that the first run keeps as its ``plan.json``, whatever else is asked.
    """

    objectives: tuple[str, ...] = ()
    among: str = MEASURED
    limits: Sequence[Limit] = ()
    way: str = KNEE
    weights: Mapping[str, float] = field(default_factory=dict)
    kept: bool = False

    @classmethod
    def of(cls, config: FrontConfig) -> Wishes:
        """Read settings.

        Raises:
            ConfigError: one of them is wrong.
            BudgetError: a limit is.
        """
        weights = parse_preferences(config.prefer, tuple(OBJECTIVES))
        if config.choose is not None and config.choose not in (KNEE, *OBJECTIVES):
            raise ConfigError(unknown_name("way to choose", config.choose, (KNEE, *OBJECTIVES)))
        if config.choose is not None and weights:
            raise ConfigError("--prefer and --choose both say which plan is taken. Leave one out.")
        if config.among not in (MEASURED, SEARCHED):
            raise ConfigError(unknown_name("kind of plans", config.among, (MEASURED, SEARCHED)))
        limits = parse_limits(config.within)
        way = config.choose or (SCORE if limits else KNEE)
        return cls(parse_objectives(config.objective), config.among, limits, way, weights)


def join_fronts(config: FrontConfig) -> Fronts:
    """The fronts of finished runs together, and one plan of them.

    Raises:
        ConfigError: a setting is wrong, or no run came.
        BudgetError: no plan keeps to the limits.
        RunError: a run cannot be read, runs cannot share a front, or ``out`` cannot be written.
    """
    wishes = Wishes.of(config)
    runs, notes = read_runs(config.runs, config.out)
    _refuse_strangers(runs, wishes.objectives)
    with told_as_malformed(runs, "gives no front"):
        found = fronts_of(runs, wishes, notes, config.out)
        json.dumps(found.as_dict(), allow_nan=False)  # what cannot be written is refused before any file is
        if config.out is not None:
            found.write(Path(config.out))
    return found


def _refuse_strangers(runs: Sequence[FinishedRun], objectives: Sequence[str]) -> None:
    """All runs must be of one network and data, and of one device where it counts."""
    of_device = (*DEVICE, "energy source")
    device_counts = not objectives or any(name in TIMED for name in objectives)
    counting = [name for name in SCENE if device_counts or name not in of_device]
    first, *others = [{name: run.conditions[name] for name in counting} for run in runs]
    for run, other in zip(runs[1:], others, strict=True):
        if first != other:
            more = ", or name objectives that need no device" if device_counts else ""
            raise RunError(
                f"A front is of one network, data and device; {runs[0].path} and {run.path} differ in "
                f"{differences(first, other)}. Name runs that agree{more}."
            )


def fronts_of(runs: Sequence[FinishedRun], wishes: Wishes, notes: Sequence[str] = (), out: str | None = None) -> Fronts:
    """Both fronts of runs that may share one, and the plan that is asked for.

    Raises:
        RunError: no plan knows the objectives, or there are too many.
        BudgetError: no plan keeps to the limits.
        ConfigError: what is chosen by is no objective of the front.
    """
    measured = [plan for run in runs for plan in measured_plans(run)]
    searched = [plan for run in runs for plan in searched_plans(run)]
    if len(searched) > MOST_PLANS:
        raise RunError(f"At most {MOST_PLANS} plans are put into a front; these runs hold {len(searched)}. Name fewer.")
    names = wishes.objectives or _usual(runs, measured)
    compared = comparable(measured, [*names, *(limit.name for limit in wishes.limits)])
    fronts, told = [Front.of(MEASURED, compared, names)], list(notes)
    if untimed := len(measured) - len(compared):
        told.append(f"{untimed} plans were scored but not timed: they stand among the searched ones, as promised.")
    try:
        fronts.append(_of_search(searched, names, named=bool(wishes.objectives)))
    except RunError as reason:
        if wishes.among == SEARCHED:
            raise
        told.append(f"No front of the search: {reason}")
    if (fewer := fronts[-1].objectives) != names:
        told.append(f"Searches knew nothing of {', '.join(name for name in names if name not in fewer)}.")
    front = fronts[-1] if wishes.among == SEARCHED else fronts[0]
    chosen = _kept(front, runs[0]) if wishes.kept else choose(front, wishes.limits, wishes.way, wishes.weights)
    first, paths = runs[0].result, [run.path for run in runs]
    return Fronts(first.network, first.metric, paths, fronts, chosen, told + _samples(runs), out)


def _kept(front: Front, run: FinishedRun) -> Chosen:
    """The plan that a run keeps.

    Raises:
        RunError: the run has no such plan.
    """
    winner = run.result.winner
    for row, plan in enumerate(front.plans):
        if plan.run is run and plan.where == FINAL and plan.method == winner:
            return Chosen(front.kind, plan, row, "plan.json")
    raise RunError(f"The front of {run.path} lacks its kept plan, of {winner}. Train again.")


def _usual(runs: Sequence[FinishedRun], measured: Sequence[EvaluatedPlan]) -> tuple[str, ...]:
    """The objectives where none is named."""
    limits = {cost for run in runs for cost in run.result.limits}
    limited = [name for name, objective in OBJECTIVES.items() if objective.column in limits]
    return default_objectives([name for name in OBJECTIVES if measured[0].knows(name)], limited)


def _of_search(searched: Sequence[EvaluatedPlan], names: tuple[str, ...], named: bool) -> Front:
    """The front of the searches; of usual objectives, which nobody ``named``, those count that searches know."""
    known = tuple(name for name in names if any(plan.knows(name) for plan in searched))
    return Front.of(SEARCHED, searched, names if named or len(known) < FEWEST else known)


def _samples(runs: Sequence[FinishedRun]) -> list[str]:
    """That searches saw samples of different numbers."""
    counts = sorted({run.result.samples for run in runs})
    shown = ", ".join(map(str, counts))
    return [f"The searches scored plans on different numbers of samples: {shown}."] if len(counts) > 1 else []
