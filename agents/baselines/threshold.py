"""One threshold for the whole network, raised and lowered until the budgets are met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.arrays import IntArray
from rlprune.budgets.completion import FITS
from rlprune.choices.choice import Choice, Kind
from rlprune.choices.space import Space
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.problem import PruningProblem
from rlprune.finetuning.threshold_loop import MET, Measurement, ThresholdLoop
from rlprune.pruning.importance import l1
from rlprune.pruning.thresholds import (
    LayerPruningStrategy,
    NeuronPruningStrategy,
    PruningStrategy,
    WeightPruningStrategy,
)

STRATEGIES: dict[Kind, Callable[[float], PruningStrategy]] = {
    "weights": WeightPruningStrategy,
    "channels": NeuronPruningStrategy,
    "depth": LayerPruningStrategy,
}


@dataclass(frozen=True)
class ThresholdSettings:
    """How the threshold moves; see :class:`rlprune.finetuning.threshold_loop.ThresholdLoop`.

    Attributes:
        alpha: first threshold and length of a step; 1 is an average weight, channel or block.
        rule: ``fixed`` or ``proportional``.

    Raises:
        ConfigError: alpha is not above 0 and finite, or the rule unknown.
    """

    alpha: float = 0.1
    rule: str = "fixed"

    def __post_init__(self) -> None:
        self.loop(target=1.0, rounds=1)

    def loop(self, target: float, rounds: int) -> ThresholdLoop:
        """A loop that rises while more than a budget is used, and falls while less than ``target`` is.

        Budgets stand in the place of the article's sizes. Accuracy shall be as high as they allow, so it counts as too
        low as long as there is room for more of the network.
        """
        targets = Measurement(accuracy=target, size_bytes=FITS)
        return ThresholdLoop(targets, start=self.alpha, alpha=self.alpha, rounds=rounds, step_rule=self.rule)


class ThresholdSearcher:
    """Prunes by a threshold, evaluates, moves the threshold, and so on until a budget is met and used.

    One threshold drives all kinds that are decided. Weights go whose magnitude is at most so many times the root mean
    square of all weights, channels whose norm and blocks whose root mean square is below so many times the mean; each
    choice takes the allowed level nearest to what is left. Bits stay as they are, since no threshold tells them apart.

    A round is one evaluation, and an episode where its plan is within the budgets. The filled uniform plan is recorded
    first. Where no round ended the loop, the last episode is the plan that came nearest, moved within the budgets.
    """

    name = "threshold"

    def __init__(self, settings: ThresholdSettings | None = None) -> None:
        self.settings = settings or ThresholdSettings()

    def fewest_episodes(self, choices: int) -> int:
        """One round of the loop, the filled plan before it and the nearest plan after it."""
        return 3

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`. Nothing is drawn at random."""
        problem = env.problem
        require_episodes(episodes, self, [problem])
        log = EpisodeLog(problem, callback, self.name)
        log.add(problem.outcome(problem.planner.filled))
        nearest = self._loop(problem, log, rounds=episodes - 2)
        if nearest is not None:
            log.add(problem.outcome(_walked(problem, nearest)))
        return SearchResult(log.episodes)

    def _loop(self, problem: PruningProblem, log: EpisodeLog, rounds: int) -> IntArray | None:
        """The round whose use of the budgets came nearest to all of them; None where one met and used them."""
        pruner = ThresholdPruner(problem.space)
        # Without budgets nothing is used, and the threshold falls to 0.
        loop = self.settings.loop(target=problem.planner.target or 1.0, rounds=rounds)
        tried: list[tuple[float, IntArray]] = []
        while loop.finished is None:
            plan = pruner.plan(loop.threshold)
            used = float(problem.planner.usage(plan[None])[0])
            quality = problem.evaluator(plan)
            if used <= FITS:
                log.add(problem.judged(plan, quality))
            tried.append((abs(1 - used), plan))
            loop.report(Measurement(accuracy=used, size_bytes=used))
        return None if loop.finished == MET else min(tried, key=lambda entry: entry[0])[1]


class ThresholdPruner:
    """Plans of one threshold for all choices of a space but bits."""

    def __init__(self, space: Space) -> None:
        self._space = space
        makers = {"weights": _weights, "channels": _channels, "depth": _blocks}
        self._subjects = {kind: makers[kind](space) for kind in space.kinds if kind in makers}

    def plan(self, threshold: float) -> IntArray:
        """Levels, ``int64 [K]``, that never rise with the threshold."""
        shares = {kind: self._shares(kind, threshold) for kind in self._subjects}
        row = self._space.full.copy()
        for index, choice in enumerate(self._space.choices):
            if choice.kind in shares:
                row[index] = _nearest(choice, shares[choice.kind].get(choice.name, 0.0))
        return np.asarray(self._space.canonical(row[None])[0])

    def _shares(self, kind: Kind, threshold: float) -> dict[str, float]:
        """What remains of each choice; one of weights that would lose everything is left out."""
        subjects = self._subjects[kind]
        if kind == "weights":
            subjects = {name: weight for name, weight in subjects.items() if float(weight.abs().max()) > threshold}
        return STRATEGIES[kind](threshold).shares(subjects)


def _nearest(choice: Choice, share: float) -> int:
    """The allowed level nearest to a share; of two the lower."""
    return min(choice.levels, key=lambda level: (abs(choice.share(level) - share), level))


def _weights(space: Space) -> dict[str, torch.Tensor]:
    """Layer -> weight, in units of the root mean square of all that are decided."""
    state, keys = space.network.model.state_dict(), {layer.name: layer.weight or "" for layer in space.network.layers}
    weights = {choice.name: state[keys[choice.name]] for choice in space.choices if choice.kind == "weights"}
    entries = sum(weight.numel() for weight in weights.values())
    mean_square = sum(float(weight.double().square().sum()) for weight in weights.values()) / entries
    return {name: weight / (mean_square**0.5 or 1.0) for name, weight in weights.items()}


def _channels(space: Space) -> dict[str, torch.Tensor]:
    """Group -> norm of each channel, ``[channels, 1]``."""
    return {group.name: l1(space.network, group)[:, None] for group in space.network.groups}


def _blocks(space: Space) -> dict[str, torch.Tensor]:
    """Block -> all its weights; biases and the scales of norms do not count."""
    found = {}
    for block in space.blocks:
        parameters = space.network.model.get_submodule(block.name).parameters()
        weights = [weight.detach().flatten() for weight in parameters if weight.dim() > 1]
        found[block.name] = torch.cat(weights) if weights else torch.zeros(1)
    return found


def _walked(problem: PruningProblem, plan: IntArray) -> IntArray:
    """Where the planner leads, who follows a plan as far as the budgets allow."""
    walk = problem.planner.start()
    for level in plan:
        walk.decide(int(level))
    return walk.levels
