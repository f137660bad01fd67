"""Calls from Python: actions, budgets, rewards, plans. Imports stand in the calls, so that the page needs no torch."""

from __future__ import annotations

import math
from typing import Any

from tests.experiments.bad_inputs.table import BadCall, Topic


def _env(problem: Any, **settings: Any) -> Any:
    from rlprune.envs import LayerPruningEnv

    env = LayerPruningEnv(problem, **settings)
    env.reset(seed=0)
    return env


def _step(*entries: float) -> Any:
    return lambda problem: _env(problem).step(list(entries))


def _step_after_the_end(problem: Any) -> None:
    env = _env(problem)
    for _ in range(len(problem.network.groups) + 1):
        env.step([0.0])


def _render(problem: Any) -> object:
    return _env(problem, render_mode="human")


def _budget(*parts: Any) -> Any:
    def make(problem: Any) -> object:
        from rlprune import Budget

        return Budget(*parts)

    return make


def _unknown_cost(problem: Any) -> object:
    from rlprune import Budget
    from rlprune.evaluation.problem import PruningProblem

    return PruningProblem(problem.network, problem.evaluator, problem.costs, [Budget.parse("energy=0.5")])


def _reward(reward: Any) -> Any:
    def make(problem: Any) -> object:
        from rlprune.evaluation.problem import PruningProblem

        return PruningProblem(problem.network, problem.evaluator, problem.costs, problem.planner.budgets, reward)

    return make


def _nan_reward(quality: Any, costs: Any, reference: Any) -> Any:
    from rlprune.evaluation.rewards import Reward

    return Reward(math.nan, {"score": quality.score, "divergence": quality.divergence}, 1.0)


def _weights(problem: Any) -> object:
    from rlprune.evaluation.rewards import Weights

    return Weights(latency=-1.0)


def _decision(problem: Any) -> object:
    from rlprune.plans.decision import Decision

    return Decision(math.nan)


def _network(**settings: Any) -> Any:
    def make(problem: Any) -> object:
        from rlprune import Network

        return Network(problem.network.model, problem.network.example_inputs, **settings)

    return make


def _searcher(problem: Any) -> object:
    from rlprune.agents import make_searcher

    return make_searcher("ddgp")


def _no_training_split(problem: Any) -> object:
    return problem.evaluator.task.train


CALLS = Topic(
    "From Python",
    [
        BadCall(
            "action that is NaN",
            "env.step([nan])",
            "An action lies in [-1, 1], not nan. Clip it, or look for NaN in the agent's weights.",
            "ActionError",
            _step(math.nan),
        ),
        BadCall(
            "action outside the box",
            "env.step([2.0])",
            "An action lies in [-1, 1], not 2.0. Clip it, or look for NaN in the agent's weights.",
            "ActionError",
            _step(2.0),
        ),
        BadCall(
            "action of the wrong shape",
            "env.step([0.1, 0.2])",
            "An action has the shape (1,), one entry for keep_ratio, not (2,). Give [0.5], say.",
            "ActionError",
            _step(0.1, 0.2),
        ),
        BadCall(
            "step after the end",
            "env.step([0.0])",
            "The episode is over: every unit is decided. Call reset() before the next step.",
            "ActionError",
            _step_after_the_end,
        ),
        BadCall(
            "unknown way to render",
            'LayerPruningEnv(problem, render_mode="human")',
            "render_mode is None or one of ['ansi', 'rgb_array'], not 'human'.",
            "ConfigError",
            _render,
        ),
        BadCall(
            "budget that is NaN",
            'Budget("macs", nan)',
            "A budget must be a finite number over 0, not macs=nan. Write macs=0.5 for half the dense "
            "network, or macs=20M (units: k, K, M, G).",
            "BudgetError",
            _budget("macs", math.nan),
        ),
        BadCall(
            "budget in the unit of another metric",
            'Budget("latency", 8.0, "mJ")',
            "A latency budget is kept in 'ms', not 'mJ'. Write latency=0.5 for half the dense network, or "
            "latency=8ms (units: us, ms, s).",
            "BudgetError",
            _budget("latency", 8.0, "mJ"),
        ),
        BadCall(
            "budget on a cost that is not known",
            'PruningProblem(..., [Budget.parse("energy=0.5")])',
            "Budget energy=0.5 needs a cost model for energy; there are macs. Latency and energy need a "
            "device profile.",
            "BudgetError",
            _unknown_cost,
        ),
        BadCall(
            "unknown reward",
            'PruningProblem(..., reward="agrement")',
            "Unknown reward 'agrement'. Did you mean 'agreement'? Known: accuracy, agreement, amc, amc-cost, weighted.",
            "ConfigError",
            _reward("agrement"),
        ),
        BadCall(
            "reward that is NaN",
            "PruningProblem(..., reward=lambda ...: nan)",
            "The reward of the filled uniform plan must be a finite number. The plan [12, 10, 24, 22] has score …, "
            "divergence …. Correct the task or the reward, or count such plans as the worst: --on-nan skip.",
            "RewardError",
            _reward(_nan_reward),
        ),
        BadCall(
            "weight of the reward below 0",
            "Weights(latency=-1.0)",
            "The reward's weight of latency must be finite and at least 0, not -1.0.",
            "ConfigError",
            _weights,
        ),
        BadCall(
            "keep ratio that is NaN",
            "Decision(keep_ratio=nan)",
            "keep_ratio must be a number in (0, 1]; nan came. Use 1 to keep everything.",
            "PlanError",
            _decision,
        ),
        BadCall(
            "text for a list of layers",
            'Network(model, inputs, ignore="head")',
            "ignore= must be a list of layer names or patterns; the text 'head' came. Write ['head'].",
            "NetworkError",
            _network(ignore="head"),
        ),
        BadCall(
            "multiple of 0",
            "Network(model, inputs, multiple=0)",
            "The width multiple must be at least 1; 0 came.",
            "NetworkError",
            _network(multiple=0),
        ),
        BadCall(
            "unknown method",
            'make_searcher("ddgp")',
            "Unknown method 'ddgp'. Did you mean 'ddpg'? Known: ….",
            "ConfigError",
            _searcher,
        ),
        BadCall(
            "training samples of a task that has none",
            "task.train",
            "Task 'tiny' has no train split. Give Task(...) one: train=Split(inputs, targets).",
            "TaskError",
            _no_training_split,
        ),
    ],
)
