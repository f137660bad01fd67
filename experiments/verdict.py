"""What a run says about itself in words."""

from __future__ import annotations

from collections.abc import Sequence

from rlprune.experiments.rows import Row, score_text


def winner(rows: Sequence[Row]) -> Row:
    """The pruned network of highest validation score, then of smallest divergence; of equals, the first."""
    return min((row for row in rows if row.role != "dense"), key=lambda row: (-row.score_validation, row.divergence))


def verdict(agent: str, metric: str, budgets: Sequence[str], rows: Sequence[Row], episodes: int) -> str:
    """Which method won, by how much, and whether the agent learned anything.

    Decided on the validation images; the test images only report.
    """
    best = winner(rows)
    others = [row for row in rows if row.role != "dense" and row is not best]
    parts = [f"**{_beginning(best, agent)}** within {', '.join(budgets)}: {_worth(best, metric)}"]
    parts += [f", against {'; '.join(f'{row.name} {_worth(row, metric)}' for row in others)}"] if others else []
    return "".join(parts) + "." + _collapse(agent, rows, episodes)


def _beginning(best: Row, agent: str) -> str:
    if best.name == agent:
        return f"The {agent} agent's plan is the best"
    return f"The plan of {best.name} is the best, not that of the {agent} agent,"


def _worth(row: Row, metric: str) -> str:
    test = "" if row.score_test is None else f" ({score_text(row.score_test)} on test)"
    return f"validation {metric} {score_text(row.score_validation)}{test}, divergence {row.divergence:.4f}"


def _collapse(agent: str, rows: Sequence[Row], episodes: int) -> str:
    by_role = {row.role: row for row in rows}
    learned, uniform = by_role.get("learned"), by_role.get("uniform")
    if learned is None or uniform is None or learned.reward is None or uniform.reward is None:
        return ""
    if learned.reward > uniform.reward + 1e-9:
        return ""
    return (
        f" **Collapse:** in {episodes} episodes the {agent} agent found no plan that earns more than the uniform one "
        f"(reward {learned.reward:.4f} against {uniform.reward:.4f}). Give it more episodes, another seed or another reward."
    )
