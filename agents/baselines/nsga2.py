"""NSGA-II (Deb et al., 2002), as Optuna implements it, on quality and cost at once."""

from __future__ import annotations

from collections.abc import Sequence

import optuna

from rlprune.agents.baselines.optuna_search import ends_with, quiet, walked
from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, RangeSearcher, SearchResult, require_episodes
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.problem import PruningProblem

POPULATION = 30


class NSGA2Searcher(RangeSearcher):
    """Evolves budget and actions together; both the loss and the cost of the limited metric are made small."""

    name = "nsga2"

    def fewest_episodes(self, choices: int) -> int:
        """A search of any number of choices needs one episode."""
        return 1

    def search_range(
        self, problems: Sequence[PruningProblem], episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.RangeSearcher`."""
        require_episodes(episodes, self, problems)
        log = EpisodeLog(problems[0], callback, self.name)
        envs = [LayerPruningEnv(problem) for problem in problems]
        sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
        with quiet():
            study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
            study.optimize(lambda trial: _objectives(trial, envs, log), callbacks=[ends_with(log, episodes)])
        return SearchResult(log.episodes)


def _objectives(trial: optuna.Trial, envs: Sequence[LayerPruningEnv], log: EpisodeLog) -> tuple[float, float]:
    env = envs[trial.suggest_int("budget", 0, len(envs) - 1)] if len(envs) > 1 else envs[0]
    outcome = walked(trial, env)
    log.add(outcome)
    loss = outcome.loss if outcome.defined else -outcome.reward
    return loss, outcome.costs[next(iter(env.problem.planner.limits), "macs")]
