"""What a run says about itself in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rlprune.experiments.rows import Row, score_text


def ranked(rows: Sequence[Row]) -> list[Row]:
    """The pruned networks, best first: by validation score, then by divergence; of equals, the first stays first."""
    return sorted((row for row in rows if row.role != "dense"), key=_worth)


def _worth(row: Row) -> tuple[float, float]:
    return -row.score_validation, row.divergence


def verdict(agent: str, metric: str, budgets: Sequence[str], rows: Sequence[Row]) -> str:
    """Which method won and by how much, decided on the validation samples: the test samples only report."""
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


SAME_ACTION = 0.01


def blind(agent: str, spread: float) -> str:
    """A warning where a policy takes the same action whatever it observes; else nothing.

    Args:
        spread: standard deviation of its actions over the groups of the network.
    """
    if spread >= SAME_ACTION:
        return ""
    return (
        f" **Collapse:** the policy of {agent} takes the same action at every group (they spread by {spread:.4f}): it "
        "ignores what it observes and will not carry over. Give it more episodes, or another agent or seed."
    )


def hypervolume_text(agent: str, volumes: Mapping[str, float], metric: str) -> str:
    """Whose front is best, over cost and the logarithm of the loss."""
    others = {name: volume for name, volume in volumes.items() if name != agent}
    best = max(others, key=lambda name: others[name])
    ratio = volumes[agent] / max(others[best], 1e-12)
    shown = ", ".join(f"{name} {volume:.4f}" for name, volume in sorted(volumes.items(), key=lambda item: -item[1]))
    return f"Hypervolume over {metric} and loss: {shown} ({agent} has {ratio:.2f} times that of {best})."
