"""What a run says about itself in words."""

from __future__ import annotations

from collections.abc import Sequence

from rlprune.experiments.rows import Row, score_text


def ranked(rows: Sequence[Row]) -> list[Row]:
    """The pruned networks, best first: by validation score, then by divergence; of equals, the first stays first."""
    return sorted((row for row in rows if row.role != "dense"), key=_worth)


def _worth(row: Row) -> tuple[float, float]:
    return -row.score_validation, row.divergence


def verdict(agent: str, metric: str, budgets: Sequence[str], rows: Sequence[Row]) -> str:
    """Which method won and by how much, decided on the validation images: the test images only report."""
    order = ranked(rows)
    first = [row.name for row in order if _worth(row) == _worth(order[0])]
    if first == [agent]:
        begin = f"{agent} wins"
    elif agent in first:
        begin = f"{' and '.join(first)} are equal"
    else:
        begin = f"{' and '.join(first)} wins, not {agent}"
    shown = ", ".join(f"{row.name} {score_text(row.score_validation)} ({row.divergence:.4f})" for row in order)
    measure = f"by validation {metric} (in brackets: divergence from the dense network)"
    return f"Within {', '.join(budgets)}, **{begin}** {measure}: {shown}."


def collapse(agent: str, episodes: int, best_reward: float, uniform_reward: float) -> str:
    """A warning where the agent found nothing that earns more than the uniform plan; else nothing."""
    if best_reward > uniform_reward + 1e-9:
        return ""
    return (
        f" **Collapse:** in {episodes} episodes {agent} found no plan that earns more than the uniform one "
        f"(reward {best_reward:.4f} against {uniform_reward:.4f}). "
        "Give it more episodes, another seed or another reward."
    )
