"""Problems and searches of benchmarks, made by the same functions as those of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rlprune.agents import Episode, Searcher, SearchResult, make_searcher
from rlprune.budgets.limits import Budget
from rlprune.choices.space import Space
from rlprune.devices import DeviceProfile
from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.harness import Case
from rlprune.experiments.pipeline.loading import Material, load_material
from rlprune.experiments.pipeline.preparing import make_evaluator, make_problem
from rlprune.experiments.settings.problem import NetworkConfig

MULTIPLE = 8
"""Widths of benchmarks are multiples of it."""


def material_of(case: Case) -> Material:
    """The network and task of a case.

    Raises:
        NetworkError, TaskError: see :func:`rlprune.experiments.pipeline.setup.load_material`.
    """
    return load_material(NetworkConfig(network=case.network, data_dir=case.data_dir), MULTIPLE)


def evaluator_of(material: Material, case: Case) -> Evaluator:
    """Tables and evaluator, on the samples that the case asks for."""
    return make_evaluator(material, case.samples, getattr(case, "seed", 0))


def problem_of(
    material: Material,
    evaluator: Evaluator,
    budget: str,
    profile: DeviceProfile | None = None,
    space: Space | None = None,
) -> PruningProblem:
    """What a search is given: one budget, and agreement with the dense network as the reward.

    Raises:
        BudgetError: the budget cannot be met.
    """
    decided = material if space is None else replace(material, space=space)
    return make_problem(decided, evaluator, profile, [Budget.parse(budget)], "agreement")


def searcher_of(method: str) -> Searcher:
    """Of METHOD or METHOD/PRESET.

    Raises:
        ConfigError: one of them is unknown.
    """
    name, _, preset = method.partition("/")
    return make_searcher(name, preset or "default")


def searched(problem: PruningProblem, method: str, episodes: int, seed: int) -> SearchResult:
    """One search; ``method`` is METHOD or METHOD/PRESET."""
    return searcher_of(method).search(LayerPruningEnv(problem), episodes, seed)


def curve(episodes: Sequence[Episode]) -> list[float | None]:
    """Lowest divergence after 1, 2, ... evaluations; None before the first plan within the budget."""
    best = np.full(max(max(episode.evaluations for episode in episodes), 1), np.inf)
    for episode in episodes:
        place = max(episode.evaluations, 1) - 1
        best[place] = min(best[place], episode.outcome.quality.divergence)
    return [None if np.isinf(value) else float(value) for value in np.minimum.accumulate(best)]


def at_least(case: Case, **least: Any) -> None:
    """Refuse flags that are too small.

    Raises:
        ConfigError: it names the flag, the least and what came.
    """
    for name, bound in least.items():
        came = getattr(case, name)
        for value in came if isinstance(came, list) else [came]:
            if value is not None and value < bound:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least {bound}; {value} came.")
