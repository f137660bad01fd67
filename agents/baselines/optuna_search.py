"""Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), as Optuna implements it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import optuna

from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.problem import Outcome


class OptunaSearcher:
    """Lets an Optuna sampler choose the actions of a whole episode.

    Args:
        name: ``tpe`` or ``evolutionary`` (Optuna's NSGA-II on one objective: crossover and mutation).
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        if self.name == "evolutionary":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=30)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=20)

    def fewest_episodes(self, choices: int) -> int:
        """A search of any number of choices needs one episode."""
        return 1

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`."""
        require_episodes(episodes, self, [env.problem])
        log = EpisodeLog(env.problem, callback, self.name)
        with quiet():
            study = optuna.create_study(direction="maximize", sampler=self._sampler(seed))
            study.optimize(lambda trial: _episode(trial, env, log), callbacks=[ends_with(log, episodes)])
        return SearchResult(log.episodes)


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna without a line for each trial."""
    previous = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(previous)


def ends_with(log: EpisodeLog, evaluations: int) -> Callable[[optuna.Study, optuna.trial.FrozenTrial], None]:
    """Ends a study whose log needs no further episode."""
    return lambda study, _: None if log.goes_on(evaluations) else study.stop()


def _episode(trial: optuna.Trial, env: LayerPruningEnv, log: EpisodeLog) -> float:
    outcome = walked(trial, env)
    log.add(outcome)
    return float(outcome.reward)


def walked(trial: optuna.Trial, env: LayerPruningEnv) -> Outcome:
    """The plan of one episode whose actions a trial of Optuna suggests."""
    env.reset()
    terminated, step = False, 0
    while not terminated:
        numbers = [trial.suggest_float(f"{step}.{entry}", -1, 1) for entry in range(len(env.problem.space.kinds))]
        _, _, terminated, _, info = env.step(np.array(numbers, dtype=np.float32))
        step += 1
    outcome: Outcome = info["outcome"]
    return outcome
