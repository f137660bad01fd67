"""What is asked of fronts, and the fronts of runs by that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rlprune.errors import ConfigError, RunError, unknown_name
from rlprune.experiments.fronting.answer import Fronts
from rlprune.experiments.fronting.choosing import KNEE, Chosen, Limit, choose, parse_limits
from rlprune.experiments.fronting.front import Front
from rlprune.experiments.fronting.objectives import (
    FEWEST,
    OBJECTIVES,
    SCORE,
    default_objectives,
    parse_objectives,
)
from rlprune.experiments.fronting.plans import (
    FINAL,
    MEASURED,
    SEARCHED,
    Plan,
    Source,
    comparable,
    measured_plans,
    searched_plans,
)
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


def fronts_of(sources: Sequence[Source], wishes: Wishes, notes: Sequence[str] = (), out: str | None = None) -> Fronts:
    """Both fronts of runs that may share one, and the plan that is asked for.

    Raises:
        RunError: no plan knows the objectives, or there are too many.
        BudgetError: no plan keeps to the limits.
        ConfigError: what is chosen by is no objective of the front.
    """
    measured = [plan for source in sources for plan in measured_plans(source)]
    searched = [plan for source in sources for plan in searched_plans(source)]
    if len(searched) > MOST_PLANS:
        raise RunError(f"At most {MOST_PLANS} plans are put into a front; these runs hold {len(searched)}. Name fewer.")
    names = wishes.objectives or _usual(sources, measured)
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
    chosen = _kept(front, sources[0]) if wishes.kept else choose(front, wishes.limits, wishes.way, wishes.weights)
    first, paths = sources[0].result, [source.path for source in sources]
    return Fronts(first.network, first.metric, paths, fronts, (front.kind, chosen), told + _samples(sources), out)


def _kept(front: Front, source: Source) -> Chosen:
    """The plan that a run keeps.

    Raises:
        RunError: the run has no such plan.
    """
    places = [row for row, plan in enumerate(front.plans) if plan.source is source and plan.where == FINAL]
    winner = source.result.winner
    row = next((row for row in places if front.plans[row].method == winner), None)
    if row is None:
        raise RunError(f"The front of {source.path} lacks its kept plan, of {winner}. Train again.")
    return Chosen(front.plans[row], row, "plan.json")


def _usual(sources: Sequence[Source], measured: Sequence[Plan]) -> tuple[str, ...]:
    """The objectives where none is named."""
    limits = {cost for source in sources for cost in source.result.limits}
    limited = [name for name, objective in OBJECTIVES.items() if objective.column in limits]
    return default_objectives([name for name in OBJECTIVES if measured[0].knows(name)], limited)


def _of_search(searched: Sequence[Plan], names: tuple[str, ...], named: bool) -> Front:
    """The front of the searches; of usual objectives, which nobody ``named``, those count that searches know."""
    known = tuple(name for name in names if any(plan.knows(name) for plan in searched))
    return Front.of(SEARCHED, searched, names if named or len(known) < FEWEST else known)


def _samples(sources: Sequence[Source]) -> list[str]:
    """That searches saw samples of different numbers."""
    counts = sorted({source.result.samples for source in sources})
    shown = ", ".join(map(str, counts))
    return [f"The searches scored plans on different numbers of samples: {shown}."] if len(counts) > 1 else []
