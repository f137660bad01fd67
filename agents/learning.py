"""Agents: an algorithm of SB3 learns to price units on imagined episodes, and its own plans are evaluated."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from rlprune.agents.algorithms import ALGORITHMS, make_algorithm, policy_of
from rlprune.agents.imagination import ImaginedVecEnv
from rlprune.agents.policy import Policy
from rlprune.agents.rounds import Proposal, Rounds
from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, RangeSearcher, SearchResult, require_episodes
from rlprune.agents.surrogate import Known, Surrogate, SurrogateSettings
from rlprune.agents.walking import policy_plan, sampled_plans
from rlprune.arrays import FloatArray, IntArray
from rlprune.envs.actions import MEANINGS, Meaning
from rlprune.envs.pricing import Pricing
from rlprune.envs.vector import PruningVecEnv
from rlprune.errors import ConfigError, unknown_name
from rlprune.evaluation.problem import PruningProblem

NO_LOG = 10**9
"""Episodes between SB3's own tables on stdout: never."""
SHAPED_GAMMA = 0.9
"""Discount where each price is rewarded at once: what it changes for later ones counts, less and less."""


@contextmanager
def isolated_random_state(seed: int) -> Iterator[None]:
    """SB3 seeds and draws from the global generators; seed them inside, and put back what was there outside."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


@dataclass(frozen=True)
class AgentSettings:
    """Settings of a :class:`LearningSearcher`.

    Attributes:
        hidden: units of each hidden layer of actor and critic.
        learning_rate: of both (Adam).
        imagination: whether the algorithm learns on imagined episodes (:mod:`rlprune.agents.imagination`); else on
            those that are evaluated, as SB3 comes.
        actions: ``price`` or ``ratio`` (:mod:`rlprune.envs.actions`); imagined episodes have prices.
        shaped: whether each imagined price is rewarded at once with what it changes.
        caution: how many standard deviations of the model an imagined plan is charged with.
        walks: episodes that run at once.
        first_imagined, imagined: imagined episodes before the first round of evaluations, and before each other.
        at_once: evaluations in a round.
        refined: share of evaluations of the policy's plan changed a little by the surrogate; the others are of the
            policy's own plans.
        noise: standard deviation of the noise with which the policy's own plans are walked, where the plan without
            noise is known.
        samples: walks with noise, of which the one that the surrogate expects to lose least is evaluated.
        surrogate: what is known of plans.

    Raises:
        ConfigError: numbers below their least, or unknown actions.
    """

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    imagination: bool = True
    actions: str = "price"
    shaped: bool = True
    caution: float = 0.5
    walks: int = 64
    first_imagined: int = 512
    imagined: int = 64
    at_once: int = 8
    refined: float = 0.5
    noise: float = 0.2
    samples: int = 64
    surrogate: SurrogateSettings = field(default_factory=SurrogateSettings)

    def __post_init__(self) -> None:
        if self.actions not in MEANINGS:
            raise ConfigError(unknown_name("kind of actions", self.actions, MEANINGS))
        if self.imagination and self.actions != "price":
            raise ConfigError("Imagined episodes have prices. Set actions=price, or imagination=false.")
        least = {"walks": 1, "at_once": 1, "samples": 1, "first_imagined": 0, "imagined": 0, "caution": 0.0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise ConfigError(f"Setting {name!r} must be at least {bound:g}; {getattr(self, name):g} came.")
        for name in ("noise", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Setting {name!r} must be above 0; {getattr(self, name):g} came.")
        if not 0 <= self.refined <= 1:
            raise ConfigError(f"Setting 'refined' is a share between 0 and 1; {self.refined:g} came.")

    @property
    def meaning(self) -> Meaning:
        """What actions mean."""
        return "price" if self.actions == "price" else "ratio"


class LearningSearcher(RangeSearcher):
    """Learns a policy while it searches, at one budget or at several.

    Args:
        name: an algorithm of :data:`rlprune.agents.algorithms.ALGORITHMS`.
        settings: see :class:`AgentSettings`.

    Raises:
        ConfigError: an algorithm of sb3-contrib, which is not installed.
    """

    def __init__(self, name: str, settings: AgentSettings | None = None) -> None:
        self.name, self.settings = name, settings or AgentSettings()
        ALGORITHMS[name].load()

    def fewest_episodes(self, choices: int) -> int:
        """The filled plan and that of the probes."""
        return 2 if self.settings.imagination else 1

    def search_range(
        self, problems: Sequence[PruningProblem], episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.RangeSearcher`."""
        require_episodes(episodes, self, problems)
        log = EpisodeLog(problems[0], callback, self.name)
        with isolated_random_state(seed):
            if self.settings.imagination:
                policy = ImaginedLearning(self.name, self.settings, problems, seed).run(log, episodes)
            else:
                policy = self._plainly(problems, log, episodes, seed)
        return SearchResult(log.episodes, policy)

    def _plainly(self, problems: Sequence[PruningProblem], log: EpisodeLog, episodes: int, seed: int) -> Policy:
        """SB3's algorithm as it comes, on episodes that are evaluated."""
        settings, length = self.settings, len(problems[0].space.units)
        env = PruningVecEnv(problems, settings.at_once, episodes, settings.meaning)
        model = make_algorithm(
            self.name, env, length, hidden=settings.hidden, learning_rate=settings.learning_rate, gamma=1.0, seed=seed
        )
        model.learn((episodes + settings.at_once) * length, EpisodeCollector(log, episodes), NO_LOG)
        return policy_of(self.name, model, problems[0].space.kinds, settings.meaning)


class EpisodeCollector(BaseCallback):
    """Hands every finished episode to the log and stops after the last."""

    def __init__(self, log: EpisodeLog, episodes: int) -> None:
        super().__init__()
        self._log, self._episodes = log, episodes

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "outcome" in info:
                self._log.add(info["outcome"], "explored")
        return len(self._log.episodes) < self._episodes


class ImaginedLearning:
    """One search: imagine, evaluate what the policy decides, learn from it, and so on.

    The policy that is kept is the one, of those that stood before and after each round, whose own plans lose least over
    all budgets: of those whose plans were all evaluated, or else as measured or expected.
    """

    def __init__(self, name: str, settings: AgentSettings, problems: Sequence[PruningProblem], seed: int) -> None:
        self._name, self._settings, self._problems = name, settings, problems
        self._random = np.random.default_rng(seed)
        self._surrogate = Surrogate(problems, settings.surrogate, seed)
        self._pricings = [Pricing(problem) for problem in problems]
        self._length = self._pricings[0].length
        walks = max(settings.walks, len(problems))
        env = ImaginedVecEnv(self._pricings, walks, self._cautious, settings.shaped)
        self._model: BaseAlgorithm = make_algorithm(
            name, env, self._length, hidden=settings.hidden, learning_rate=settings.learning_rate,
            gamma=SHAPED_GAMMA if settings.shaped else 1.0, seed=seed,
        )  # fmt: skip
        self._stood = [self._standing()]

    def run(self, log: EpisodeLog, episodes: int) -> Policy:
        """Search, and give the policy that is kept."""
        rounds = Rounds(self._problems, self._surrogate, log, episodes)
        rounds.start()
        self._learn(self._settings.first_imagined)
        while rounds.left:
            rounds.play(self._settings.at_once, self._propose)
            self._learn(self._settings.imagined)
        known = self._surrogate.known
        measured = [stood for stood in self._stood if all(tuple(plan.tolist()) in known for plan in stood[1])]
        return min(measured or self._stood, key=lambda stood: self._mean_loss(stood[1]))[0]

    def _cautious(self, plans: IntArray) -> FloatArray:
        mean, spread = self._surrogate.expected(plans)
        return mean + self._settings.caution * spread

    def _learn(self, episodes: int) -> None:
        if episodes:
            first = len(self._stood) == 1
            self._model.learn(episodes * self._length, log_interval=NO_LOG, reset_num_timesteps=first)
            self._stood.append(self._standing())

    def _standing(self) -> tuple[Policy, list[IntArray]]:
        """The policy as it is now, and the plan that it makes at each budget."""
        policy = policy_of(self._name, self._model, self._problems[0].space.kinds, "price")
        return policy, [policy_plan(policy, pricing) for pricing in self._pricings]

    def _mean_loss(self, plans: Sequence[IntArray]) -> float:
        return float(np.mean([self._surrogate.log_loss(plan) for plan in plans]))

    def _propose(self, at: int, known: Known) -> Proposal:
        """The policy's own plan, unless it is known; else one walked with noise, or its plan refined."""
        policy, plans = self._stood[-1]
        if tuple(plans[at].tolist()) not in known:
            return Proposal(at, plans[at], "policy")
        if self._random.random() >= self._settings.refined:
            walked = sampled_plans(
                policy, self._pricings[at], self._settings.samples, self._settings.noise, self._random
            )
            fresh = np.array([tuple(plan.tolist()) not in known for plan in walked])
            if fresh.any():
                expected = np.where(fresh, self._surrogate.expected(walked)[0], np.inf)
                return Proposal(at, walked[expected.argmin()], "sampled")
        refined = self._surrogate.refined(at, plans[at], known)
        if refined is not None:
            return Proposal(at, refined, "refined")
        return Proposal(at, self._surrogate.proposed(at, known), "surrogate")
