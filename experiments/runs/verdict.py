"""What a run says about itself in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rlprune.experiments.runs.columns import score_text
from rlprune.experiments.runs.ranking import best_first, leaders
from rlprune.experiments.runs.row import AGENT, BASELINE, DENSE, FILLED, Row

COLLAPSE = " **Collapse:**"
SAME_ACTION = 0.01
SAME_REWARD = 1e-9
Rewards = Mapping[str, float]


@dataclass(frozen=True)
class Case:
    """All that a verdict speaks of.

    Attributes:
        agent: the method that the run is about.
        metric: of the task.
        budgets: that the plans keep to.
        rows: of the table; the dense network says nothing here.
        rewards: the best reward of each method in the search, and the filled plan's; empty without a search.
        plans: how many plans a search could find at all; None where they are more than a search tries, and of a range.
        used: share of a budget that such plans use at least.
        front: what was said of a range, if it was one.
        kept: whether ``plan.json`` is one of these plans.
        spread: of the actions of the agent's policy over the units of the network; None without one.
        priced: whether these actions are prices.
        decided: who decided the agent's plan, where that is not the method as a whole.
    """

    agent: str
    metric: str
    budgets: Sequence[str]
    rows: Sequence[Row]
    rewards: Rewards = field(default_factory=dict)
    plans: int | None = None
    used: float = 0.97
    front: str = ""
    kept: bool = True
    spread: float | None = None
    priced: bool = True
    decided: str = ""


def ranked(rows: Sequence[Row]) -> list[Row]:
    """The pruned networks, best first; see :mod:`rlprune.experiments.runs.ranking`."""
    pruned = [row for row in rows if row.role != DENSE]
    return [pruned[place] for place in best_first([row.standing for row in pruned])]


def winners(rows: Sequence[Row]) -> list[Row]:
    """Those whose plan is the best, in the order of the table: more than one where methods found the same plan."""
    return same_plan(rows, ranked(rows)[0])


def same_plan(rows: Sequence[Row], plan: Row) -> list[Row]:
    """The pruned networks that keep the same as one of them."""
    return [row for row in rows if row.role != DENSE and row.widths == plan.widths]


def verdict(case: Case) -> str:
    """Which plan is the best, by what, and what is wrong with it: decided on the validation samples alone."""
    sentences = [case.front, _outcome(case), _kept(case), _decided(case), _few(case), _nothing_better(case)]
    return " ".join(sentence for sentence in sentences if sentence) + _collapse(case) + _blind(case)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def reason(rows: Sequence[Row], metric: str) -> str:
    """By what the best plan is the best, as the end of a sentence that names it; the dense network says nothing."""
    order, first = ranked(rows), winners(rows)
    measure, others = f"validation {metric}", equals_of_best(rows)
    if not others:
        unknown = any(row.standing.behind is None for row in order if row not in first)
        alone = len(first) == len(order)
        return "" if alone and len(first) > 1 else f" by {measure}{'' if unknown or alone else ', beyond its noise'}"
    names = listed([row.name for row in others])
    level = [row.name for row in others if (row.score_validation, row.divergence) == _figures(order[0])]
    if level:
        return f": level with {listed(level)} to the last digit; of such plans the first in the table is kept"
    if all(row.score_validation == order[0].score_validation for row in others):
        return f": of the same {measure} as {names}, and of the smallest divergence"
    return f": its {measure} differs from that of {names} by no more than the noise, its divergence is the smallest"


def _figures(row: Row) -> tuple[float, float]:
    return row.score_validation, row.divergence


def equals_of_best(rows: Sequence[Row]) -> list[Row]:
    """Other plans than the best one that are its equals but for the divergence."""
    order = ranked(rows)
    equals = [order[place] for place in leaders([row.standing for row in order])]
    return [row for row in equals if row.widths != order[0].widths]


def _outcome(case: Case) -> str:
    order, first = ranked(case.rows), winners(case.rows)
    shown = ", ".join(
        f"{row.name} {score_text(row.score_validation, case.metric)} ({row.divergence:.4f})" for row in order
    )
    legend = "in brackets: divergence from the dense network"
    why = reason(case.rows, case.metric)
    return f"Within {', '.join(case.budgets)}, **{_who(case, first)}**{why} ({legend}): {shown}."


def _who(case: Case, first: Sequence[Row]) -> str:
    names = [row.name for row in first]
    if len(names) > 1:
        return f"{listed(names)} {'win with' if len(names) < len(ranked(case.rows)) else 'are'} the same plan"
    return f"{names[0]} wins" if names == [case.agent] else f"{names[0]} wins, not {case.agent}"


def _kept(case: Case) -> str:
    if not case.kept:
        return ""
    names = [row.name for row in winners(case.rows)]
    return f"`plan.json` is {'that plan' if len(names) > 1 else f'the plan of {names[0]}'}."


def _decided(case: Case) -> str:
    return f"The plan of {case.agent} was decided by {case.decided}." if case.decided else ""


def _few(case: Case) -> str:
    return "" if case.plans is None else f"{few_plans(case.plans, case.budgets, case.used)}."


def few_plans(plans: int, budgets: Sequence[object], used: float) -> str:
    """That so many plans are all, as the beginning of a sentence."""
    found = "Only one plan is" if plans == 1 else f"Only {plans} plans are"
    use = "uses" if plans == 1 else "use"
    return f"{found} within {', '.join(map(str, budgets))} and {use} at least {100 * used:.3g}% of it"


def _better(case: Case) -> list[str]:
    """Methods that found what earns more than the filled plan."""
    filled = case.rewards[FILLED]
    return [name for name, reward in case.rewards.items() if reward > filled + SAME_REWARD]


def _nothing_better(case: Case) -> str:
    """That no search got beyond the filled plan, where there was more than a few plans to find."""
    if not case.rewards or _better(case) or case.plans is not None:
        return ""
    if any(row.role == FILLED for row in winners(case.rows)):
        return "No search found a better plan than filled."
    return "On the samples of the search no plan earned more than filled; the order is that of all validation samples."


def _collapse(case: Case) -> str:
    """A warning where the agent missed what another method found."""
    first = {row.name for row in winners(case.rows)}
    if case.agent in first or case.agent not in case.rewards or case.agent in (found := _better(case)) or not found:
        return ""
    best = max(found, key=lambda name: case.rewards[name])
    return (
        f"{COLLAPSE} {case.agent} found no plan that earns more than filled (reward {case.rewards[case.agent]:.4f} "
        f"against {case.rewards[FILLED]:.4f}), and {best} did ({case.rewards[best]:.4f}). Give it more episodes, "
        "another seed or another reward."
    )


def _blind(case: Case) -> str:
    """A warning where a policy takes the same action whatever it observes, though there was something to learn."""
    searched = [row.widths for row in case.rows if row.role in (AGENT, BASELINE)]
    all_the_same = len(searched) > 1 and len(set(searched)) == 1
    if case.spread is None or case.spread >= SAME_ACTION or case.plans is not None or all_the_same:
        return ""
    if case.priced:
        return (
            f" The policy of {case.agent} prices every group alike (they spread by {case.spread:.4f}): its plan is "
            "that of the probes, and it learned nothing that another network could use."
        )
    return (
        f"{COLLAPSE} the policy of {case.agent} takes the same action at every group (they spread by "
        f"{case.spread:.4f}): it ignores what it observes and will not carry over. Give it more episodes, or another "
        "agent or seed."
    )


def hypervolume_text(agent: str, volumes: Mapping[str, float], metric: str) -> str:
    """Whose front is best, over cost and the logarithm of the loss."""
    others = {name: volume for name, volume in volumes.items() if name != agent}
    best = max(others, key=lambda name: others[name])
    ratio = volumes[agent] / max(others[best], 1e-12)
    shown = ", ".join(f"{name} {volume:.4f}" for name, volume in sorted(volumes.items(), key=lambda item: -item[1]))
    return f"Hypervolume over {metric} and loss: {shown} ({agent} has {ratio:.2f} times that of {best})."
