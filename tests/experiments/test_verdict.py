"""What a verdict says, sentence by sentence, in every case there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rlprune.evaluation.problem import Outcome
from rlprune.evaluation.quality import Quality
from rlprune.experiments.pipeline.candidate import Finalist
from rlprune.experiments.pipeline.candidate import ranked as ranked_finalists
from rlprune.experiments.runs.ranking import Standing, best_first
from rlprune.experiments.runs.row import Row
from rlprune.experiments.runs.verdict import Case, ranked, verdict

Behind = tuple[float, float] | None
LEGEND = "(in brackets: divergence from the dense network)"


def row(name: str, score: float, divergence: float, behind: Behind = None, plan: int = 0, role: str = "") -> Row:
    roles = {"uniform": "uniform", "filled": "filled", "ddpg": "agent"}
    low, high = behind or (None, None)
    return Row(
        name,
        role or roles.get(name, "baseline"),
        score,
        divergence,
        macs=2e6,
        params=3e3,
        size_bytes=12_000,
        widths=(plan or sum(name.encode()),),
        behind_low=low,
        behind_high=high,
    )


BEST, NOISE, BEYOND = (0.0, 0.0), (-0.01, 0.02), (0.01, 0.05)
UNIFORM = row("uniform", 0.90, 0.30, BEYOND)
FILLED = row("filled", 0.92, 0.20, BEYOND)
RANDOM = row("random", 0.95, 0.10, BEST)
DDPG = row("ddpg", 0.95, 0.05, BEST)
PLAIN = "filled 92.00% (0.2000), uniform 90.00% (0.3000)"
FOUND = {"filled": 0.0, "random": 0.5, "ddpg": 0.7}

CASES: dict[str, tuple[list[Row], dict[str, Any], str]] = {
    "the agent wins beyond the noise": (
        [UNIFORM, FILLED, DDPG],
        {"rewards": {"filled": 0.0, "ddpg": 0.7}},
        f"Within macs=0.5, **ddpg wins** by validation accuracy, beyond its noise {LEGEND}: ddpg 95.00% (0.0500), "
        f"{PLAIN}. `plan.json` is the plan of ddpg.",
    ),
    "another method wins beyond the noise": (
        [UNIFORM, FILLED, RANDOM, row("ddpg", 0.91, 0.15, BEYOND)],
        {"rewards": FOUND},
        f"Within macs=0.5, **random wins, not ddpg** by validation accuracy, beyond its noise {LEGEND}: random 95.00% "
        "(0.1000), filled 92.00% (0.2000), ddpg 91.00% (0.1500), uniform 90.00% (0.3000). `plan.json` is the plan of "
        "random.",
    ),
    "the noise is not known": (
        [row("uniform", 0.90, 0.30), row("ddpg", 0.95, 0.05)],
        {"kept": False},
        f"Within macs=0.5, **ddpg wins** by validation accuracy {LEGEND}: ddpg 95.00% (0.0500), uniform 90.00% "
        "(0.3000).",
    ),
    "within the noise the smaller divergence decides": (
        [UNIFORM, FILLED, row("random", 0.96, 0.10, BEST), row("ddpg", 0.95, 0.05, NOISE)],
        {"rewards": FOUND},
        "Within macs=0.5, **ddpg wins**: its validation accuracy differs from that of random by no more than the noise,"
        f" its divergence is the smallest {LEGEND}: ddpg 95.00% (0.0500), random 96.00% (0.1000), {PLAIN}. `plan.json` "
        "is the plan of ddpg.",
    ),
    "within the noise of three": (
        [row("uniform", 0.94, 0.30, NOISE), row("filled", 0.95, 0.2, NOISE), row("random", 0.96, 0.10, BEST), DDPG],
        {"rewards": FOUND},
        "Within macs=0.5, **ddpg wins**: its validation accuracy differs from that of random, filled and uniform by no "
        f"more than the noise, its divergence is the smallest {LEGEND}: ddpg 95.00% (0.0500), random 96.00% (0.1000), "
        "filled 95.00% (0.2000), uniform 94.00% (0.3000). `plan.json` is the plan of ddpg.",
    ),
    "the same score": (
        [UNIFORM, FILLED, RANDOM, DDPG],
        {"rewards": FOUND},
        "Within macs=0.5, **ddpg wins**: of the same validation accuracy as random, and of the smallest divergence "
        f"{LEGEND}: ddpg 95.00% (0.0500), random 95.00% (0.1000), {PLAIN}. `plan.json` is the plan of ddpg.",
    ),
    "two methods found the same plan": (
        [UNIFORM, FILLED, row("random", 0.95, 0.05, BEST, plan=7), row("ddpg", 0.95, 0.05, BEST, plan=7)],
        {"rewards": FOUND},
        f"Within macs=0.5, **random and ddpg win with the same plan** by validation accuracy, beyond its noise "
        f"{LEGEND}: random 95.00% (0.0500), ddpg 95.00% (0.0500), {PLAIN}. `plan.json` is that plan.",
    ),
    "all of a space with one plan": (
        [row(name, 0.9, 0.3, BEST, plan=7) for name in ("uniform", "filled", "random", "ddpg")],
        {"rewards": {"filled": 0.0, "random": 0.0, "ddpg": 0.0}, "plans": 1, "used": 0.93},
        f"Within macs=0.5, **uniform, filled, random and ddpg are the same plan** {LEGEND}: uniform 90.00% (0.3000), "
        "filled 90.00% (0.3000), random 90.00% (0.3000), ddpg 90.00% (0.3000). `plan.json` is that plan. Only one plan "
        "is within macs=0.5 and uses at least 93% of it.",
    ),
    "a nearly exhausted budget is no collapse": (
        [UNIFORM, *(row(name, 0.92, 0.2, BEST, plan=7) for name in ("filled", "random", "ddpg"))],
        {"rewards": {"filled": 0.0, "random": 0.0, "ddpg": 0.0}, "plans": 3},
        f"Within macs=0.5, **filled, random and ddpg win with the same plan** by validation accuracy, beyond its noise "
        f"{LEGEND}: filled 92.00% (0.2000), random 92.00% (0.2000), ddpg 92.00% (0.2000), uniform 90.00% (0.3000). "
        "`plan.json` is that plan. Only 3 plans are within macs=0.5 and use at least 97% of it.",
    ),
    "nothing is better than filled": (
        [UNIFORM, row("filled", 0.95, 0.05, BEST), row("ddpg", 0.91, 0.3, BEYOND)],
        {"rewards": {"filled": 0.0, "ddpg": -0.2}},
        f"Within macs=0.5, **filled wins, not ddpg** by validation accuracy, beyond its noise {LEGEND}: filled 95.00% "
        "(0.0500), ddpg 91.00% (0.3000), uniform 90.00% (0.3000). `plan.json` is the plan of filled. No search found a "
        "better plan than filled.",
    ),
    "the agent wins with what earned less in the search": (
        [UNIFORM, FILLED, row("evolutionary", 0.95, 0.05, BEST, role="agent")],
        {"agent": "evolutionary", "rewards": {"filled": 0.0, "evolutionary": -0.1}},
        f"Within macs=0.5, **evolutionary wins** by validation accuracy, beyond its noise {LEGEND}: evolutionary "
        f"95.00% (0.0500), {PLAIN}. `plan.json` is the plan of evolutionary. On the samples of the search no plan "
        "earned more than filled; the order is that of all validation samples.",
    ),
    "collapse where another method found what the agent missed": (
        [UNIFORM, FILLED, RANDOM, row("ddpg", 0.91, 0.25, BEYOND)],
        {"rewards": {"filled": 0.0, "random": 0.5, "ddpg": -0.25}},
        f"Within macs=0.5, **random wins, not ddpg** by validation accuracy, beyond its noise {LEGEND}: random 95.00% "
        "(0.1000), filled 92.00% (0.2000), ddpg 91.00% (0.2500), uniform 90.00% (0.3000). `plan.json` is the plan of "
        "random. **Collapse:** ddpg found no plan that earns more than filled (reward -0.2500 against 0.0000), and "
        "random did (0.5000). Give it more episodes, another seed or another reward.",
    ),
    "no collapse where the agent wins all the same": (
        [UNIFORM, FILLED, row("random", 0.90, 0.30, BEYOND, plan=9), DDPG],
        {"rewards": {"filled": 0.0, "random": 0.5, "ddpg": -0.25}},
        f"Within macs=0.5, **ddpg wins** by validation accuracy, beyond its noise {LEGEND}: ddpg 95.00% (0.0500), "
        "filled 92.00% (0.2000), uniform 90.00% (0.3000), random 90.00% (0.3000). `plan.json` is the plan of ddpg.",
    ),
    "who decided the agent's plan": (
        [UNIFORM, FILLED, DDPG],
        {"rewards": {"filled": 0.0, "ddpg": 0.7}, "decided": "the learned policy by itself"},
        f"Within macs=0.5, **ddpg wins** by validation accuracy, beyond its noise {LEGEND}: ddpg 95.00% (0.0500), "
        f"{PLAIN}. `plan.json` is the plan of ddpg. The plan of ddpg was decided by the learned policy by itself.",
    ),
    "a policy that adds nothing to the probes": (
        [UNIFORM, FILLED, DDPG],
        {"rewards": {"filled": 0.0, "ddpg": 0.7}, "spread": 0.001},
        f"Within macs=0.5, **ddpg wins** by validation accuracy, beyond its noise {LEGEND}: ddpg 95.00% (0.0500), "
        f"{PLAIN}. `plan.json` is the plan of ddpg. The policy of ddpg prices every group alike (they spread by "
        "0.0010): its plan is that of the probes, and it learned nothing that another network could use.",
    ),
    "a policy that is blind": (
        [UNIFORM, FILLED, DDPG],
        {"rewards": {"filled": 0.0, "ddpg": 0.7}, "spread": 0.001, "priced": False},
        f"Within macs=0.5, **ddpg wins** by validation accuracy, beyond its noise {LEGEND}: ddpg 95.00% (0.0500), "
        f"{PLAIN}. `plan.json` is the plan of ddpg. **Collapse:** the policy of ddpg takes the same action at every "
        "group (they spread by 0.0010): it ignores what it observes and will not carry over. Give it more episodes, or "
        "another agent or seed.",
    ),
    "few plans leave a policy nothing to learn": (
        [UNIFORM, FILLED, DDPG],
        {"rewards": {"filled": 0.0, "ddpg": 0.7}, "spread": 0.0, "plans": 2},
        f"Within macs=0.5, **ddpg wins** by validation accuracy, beyond its noise {LEGEND}: ddpg 95.00% (0.0500), "
        f"{PLAIN}. `plan.json` is the plan of ddpg. Only 2 plans are within macs=0.5 and use at least 97% of it.",
    ),
    "no collapse where all methods found the same plan": (
        [UNIFORM, FILLED, row("random", 0.95, 0.05, BEST, plan=7), row("ddpg", 0.95, 0.05, BEST, plan=7)],
        {"rewards": FOUND, "spread": 0.0},
        f"Within macs=0.5, **random and ddpg win with the same plan** by validation accuracy, beyond its noise "
        f"{LEGEND}: random 95.00% (0.0500), ddpg 95.00% (0.0500), {PLAIN}. `plan.json` is that plan.",
    ),
    "a range, and a metric that is no share": (
        [row("filled", -2.5, 0.20, BEYOND), row("ddpg", -1.5, 0.05, BEST)],
        {
            "metric": "r2",
            "budgets": ["macs=0.5", "params=0.4"],
            "front": "Hypervolume: more. Chosen on it: macs=0.5.",
            "rewards": {"filled": 0.0, "ddpg": 0.7},
        },
        "Hypervolume: more. Chosen on it: macs=0.5. Within macs=0.5, params=0.4, **ddpg wins** by validation r2, "
        f"beyond its noise {LEGEND}: ddpg -1.5000 (0.0500), filled -2.5000 (0.2000). `plan.json` is the plan of ddpg.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_verdict_says(name: str) -> None:
    rows, more, sentence = CASES[name]
    dense = row("dense", 0.99, 0.0, role="dense")
    settings = {"agent": "ddpg", "metric": "accuracy", "budgets": ["macs=0.5"], **more}
    assert verdict(Case(rows=[dense, *rows], **settings)) == sentence


@pytest.mark.parametrize(
    ("found", "order"),
    [
        ([Standing(0.7, 0.1), Standing(0.8, 0.2), Standing(0.8, 0.1)], [2, 1, 0]),  # unknown noise: score, divergence
        ([Standing(0.7174, 0.13, BEST), Standing(0.7170, 0.01, NOISE)], [1, 0]),
        ([Standing(0.7174, 0.13, BEST), Standing(0.6170, 0.01, BEYOND)], [0, 1]),
        ([Standing(0.6, 0.5, BEYOND), Standing(0.5, 0.0, BEYOND), Standing(0.8, 0.9, BEST)], [2, 0, 1]),
        ([Standing(0.8, 0.1, BEST), Standing(0.8, 0.1, BEST)], [0, 1]),
        ([], []),
    ],
)
def test_one_rule_ranks_finalists_and_rows(found: Sequence[Standing], order: list[int]) -> None:
    assert best_first(found) == order
    rows = [row(str(place), one.score, one.divergence, one.behind, plan=place + 1) for place, one in enumerate(found)]
    assert [int(one.name) for one in ranked(rows)] == order


def test_finalists_are_ranked_by_what_their_scores_differ_on_the_same_draws() -> None:
    draws = np.random.default_rng(0).normal(0.7, 0.05, 500)  # each score alone is uncertain
    jitter = np.random.default_rng(1).normal(0.0, 0.01, 500)
    qualities = [
        Quality(0.7174, 0.13, 500, resampled=draws),
        Quality(0.7170, 0.01, 500, resampled=draws - 0.0004 + jitter),  # its difference is within the noise
        Quality(0.69, 0.001, 500, resampled=draws - 0.0274),  # this one is always behind
    ]
    outcomes = [Outcome(np.array([place]), quality, {}, 0.0, {}, 1.0) for place, quality in enumerate(qualities)]
    found = ranked_finalists([Finalist(outcome, outcome.quality) for outcome in outcomes])
    assert [int(one.outcome.levels[0]) for one in found] == [1, 0, 2]
    assert found[1].behind == (0.0, 0.0)
    assert found[2].behind == pytest.approx((0.0274, 0.0274))
