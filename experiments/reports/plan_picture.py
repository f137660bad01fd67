"""What the plans of a run keep, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlprune.choices.choice import Choice
from rlprune.envs.plan_figure import ShownPlan, plain, plan_figure
from rlprune.experiments.runs.result import AGENT, UNSEARCHED, Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plan_bars(result: Result, rows: Sequence[Row]) -> Figure:
    """What each layer keeps, in forward order from the top, of the uniform plans, the agent's and the best one."""
    from rlprune.experiments.reports.pictures import colour_of, legend_below

    stated = [(choice.of or choice.name, choice) for choice in result.groups]
    choices = [Choice(of, choice.kind or "channels", (choice.width,), of) for of, choice in stated]
    shown = [row for row in rows if row.role in (*UNSEARCHED, AGENT) or row.name == result.winner]
    names = {result.winner: f"{result.winner}: plan.json"}
    plans = [ShownPlan(names.get(row.name, row.name), colour_of(row.name, result), row.widths) for row in shown]
    figure, panels = plan_figure(choices, plans)
    figure.suptitle(plain(f"What the plans keep within {', '.join(result.budgets)}"))
    legend_below(figure, panels[0])
    return figure
