"""What the plans of a run keep, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlprune.choices.choice import Choice
from rlprune.envs.plan_figure import ShownPlan, plain, plan_figure
from rlprune.experiments.runs.rows import AGENT, UNSEARCHED, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plan_bars(result: Mapping[str, Any], rows: Sequence[Row]) -> Figure:
    """What each layer keeps, in forward order from the top, of the uniform plans, the agent's and the best one."""
    from rlprune.experiments.reports.pictures import colour_of, legend_below

    stated = [{"kind": "channels", "of": choice["name"], **choice} for choice in result["groups"]]
    choices = [Choice(choice["of"], choice["kind"], (choice["width"],), choice["of"]) for choice in stated]
    shown = [row for row in rows if row.role in (*UNSEARCHED, AGENT) or row.name == result["winner"]]
    names = {result["winner"]: f"{result['winner']}: plan.json"}
    plans = [ShownPlan(names.get(row.name, row.name), colour_of(row.name, result), row.widths) for row in shown]
    figure, panels = plan_figure(choices, plans)
    figure.suptitle(plain(f"What the plans keep within {', '.join(result['budgets'])}"))
    legend_below(figure, panels[0])
    return figure
