"""The environment: one episode is one walk over the groups of a network, and one evaluation."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from rlprune.choices.choice import Choice
from rlprune.envs.actions import MEANINGS, Meaning, action_space
from rlprune.envs.episode import Episode, starter, summary
from rlprune.envs.observations import Observation
from rlprune.envs.plan_figure import ShownPlan, plan_pixels
from rlprune.envs.slots import observation_space, observation_table
from rlprune.errors import ConfigError, unknown_name
from rlprune.evaluation.problem import PruningProblem

BARS = "#0072b2"


class LayerPruningEnv(gymnasium.Env[npt.NDArray[Any], npt.NDArray[Any]]):
    """Decide, unit by unit, what is left of a network within a budget.

    ## Description
    The network is an ordered list of units: mostly groups, layers that must lose the same channels together; where
    more than channels is decided, every layer that has a choice. Each step takes the choices of one unit, in forward
    order. Each is moved to the nearest level from which the rest of the network can still meet every budget and make
    use of the tightest one, so each episode ends in a plan that is within budget. After the last unit the plan is
    evaluated once, and that is the reward. After AMC (He et al., ECCV 2018, arXiv:1802.03494), with two-sided budgets
    on any cost, several kinds of decisions, and observations that carry over to other networks.

    ## Action space
    `Box(-1, 1, (kinds,), float32)`: one entry for each kind of decision, in this order.

    | Kind     | Action     | -1                              | 0                             | 1                     |
    |----------|------------|---------------------------------|-------------------------------|-----------------------|
    | depth    | keep_block | the block is dropped            | what the filled plan has here | the block stays       |
    | channels | keep_ratio | the smallest allowed keep ratio | what the filled plan has here | keep all (1.0)        |
    | weights  | density    | the smallest allowed density    | what the filled plan has here | every entry remains   |
    | bits     | precision  | the fewest bits                 | what the filled plan has here | the weight as it is   |

    Linear between these points. Where a unit has no choice of a kind, the entry is masked: it does nothing, and 0 is
    executed. What was executed may differ from what was asked: see `info`.

    That is `actions="ratio"`. With `actions="price"` an entry corrects what its unit is expected to lose, by a factor
    between exp(-2) and exp(2), and after the last unit a knapsack makes the plan (`rlprune.envs.pricing`): every plan
    is within budget, 0 everywhere is about the plan of the probes, and only `unit` and `executed_action` are told at
    each step. It is what the agents of rlprune learn.

    ## Observation space
    `Box` of float32, one entry a slot (`rlprune.envs.slots.slots_of`). The observation after the last unit has
    position 1, the final costs and zeros. Where only channels are decided:

    <observation table>

    Where more is decided, slots follow for each kind: whether it is decided here, its lowest and its uniform share,
    what these lose alone, its share in the plan that would follow, and its share that was executed last; and for the
    costs `weights` and `size` what the others have. Of prices, slots tell what is static, what was measured of each
    choice alone, and the last price (`observation_table(kinds, meaning)` prints them).

    ## Reward
    0 until the last unit, then the problem's reward (`rlprune.evaluation.rewards`):

    | Name       | Reward of the plan                                                                          |
    |------------|---------------------------------------------------------------------------------------------|
    | agreement  | log(divergence of the filled uniform plan / divergence of the plan), from the dense outputs |
    | accuracy   | validation score                                                                            |
    | amc        | -(1 - score)                                                                                |
    | amc-cost   | -(1 - score) log(cost)                                                                      |
    | weighted   | w_a score - w_l latency / dense latency - w_e energy / dense energy                         |

    Episodes are short and of equal length, so returns need no discount.

    ## Info
    | Key                | When  | Value                                                                              |
    |--------------------|-------|------------------------------------------------------------------------------------|
    | unit               | step  | name of the unit that was decided; on reset, the first to decide                   |
    | levels             | step  | kind -> level that was executed                                                    |
    | group              | step  | name of its group, where channels were decided                                     |
    | width              | step  | channels kept, where they were decided                                             |
    | keep_ratio         | step  | width / channels of the dense group                                                |
    | executed_action    | step  | the action that would have asked for exactly this, float32 of the action's shape   |
    | outcome            | end   | the `rlprune.evaluation.problem.Outcome`                                           |
    | score              | end   | validation score of the plan                                                       |
    | divergence         | end   | divergence of its outputs from the dense network's                                 |
    | macs, size_bytes, latency_ms, ... | end | its costs, those that the problem has                                 |
    | reward_terms       | end   | what the reward is made of, by name                                                |
    | plan_levels        | end   | the level of every choice, int64                                                   |
    | evaluations        | end   | plans evaluated so far, by anyone who shares the evaluator                          |
    | cache_hits         | end   | plans that were asked for again                                                    |

    ## Starting state
    Nothing is decided; the previous action is 0 and the previous keep ratio 1. Nothing is drawn at random.

    ## Episode end
    Terminates after the last unit. Never truncates.

    ## Arguments
    - `problem`: the `rlprune.evaluation.problem.PruningProblem` to solve.
    - `actions`: `"ratio"` or `"price"`, see above.
    - `render_mode`: what `render()` returns, before and after every step: `"ansi"` one line a choice, `"rgb_array"` the
      plan so far as a picture, `uint8 [height, width, 3]`; None, nothing.

    ## Errors
    `ActionError`: an action that is NaN, outside the box or of another shape, or a step after the end.
    `ConfigError`: an unknown `render_mode`, or unknown `actions`.

    ## Example
    ```python
    import gymnasium
    import rlprune.envs

    env = gymnasium.make("rlprune/LayerPruning-v0", problem=problem)
    observation, info = env.reset(seed=0)
    terminated = False
    while not terminated:
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    print(reward, info["score"], info["plan_levels"])
    ```
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (as Gymnasium declares it)
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
    }

    def __init__(self, problem: PruningProblem, render_mode: str | None = None, actions: Meaning = "ratio") -> None:
        if actions not in MEANINGS:
            raise ConfigError(unknown_name("kind of actions", actions, MEANINGS))
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ConfigError(f"render_mode is None or one of {self.metadata['render_modes']}, not {render_mode!r}.")
        self.problem = problem
        self.render_mode = render_mode
        self.action_space = action_space(problem.space.kinds)
        self.observation_space = observation_space(problem.space.kinds, actions)
        self._begin = starter(problem, actions)
        self.episode: Episode = self._begin()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a new walk. ``seed`` only seeds ``np_random``; ``options`` are not used."""
        super().reset(seed=seed)
        self.episode = self._begin()
        return self.episode.observation, {"unit": self.problem.space.units[0].name}

    def step(self, action: npt.ArrayLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Decide the current unit; after the last one, evaluate the plan.

        Raises:
            ActionError: see the class.
            RewardError: the plan's reward is NaN or infinite; see :class:`rlprune.evaluation.problem.PruningProblem`.
        """
        info = self.episode.decide(action)
        if not self.episode.done:
            return self.episode.observation, 0.0, False, False, info
        outcome = self.problem.outcome(self.episode.levels)
        return self.episode.observation, outcome.reward, True, False, info | summary(outcome, self.problem)

    def render(self) -> str | npt.NDArray[np.uint8] | None:
        """What every choice keeps of all, or that it is not decided, as the render mode says."""
        choices = self.problem.space.choices
        if self.render_mode == "rgb_array":
            levels = [int(level) if self.episode.is_decided(i) else None for i, level in enumerate(self.episode.levels)]
            return plan_pixels(choices, ShownPlan("", BARS, levels))
        if self.render_mode is None:
            return None
        longest = max(len(choice.name) for choice in choices)
        return "\n".join(
            f"{choice.name:<{longest}}  {self._kind(choice)}{self._shown(index)}"
            for index, choice in enumerate(choices)
        )

    def _kind(self, choice: Choice) -> str:
        return f"{choice.kind:<8}  " if self.problem.space.layered else ""

    def _shown(self, index: int) -> str:
        full, kept = self.problem.space.choices[index].full, int(self.episode.levels[index])
        if not self.episode.is_decided(index):
            return f"{'-':>5} / {full}"
        return f"{kept:>5} / {full:<5} {kept / full:4.2f}  {'#' * round(20 * kept / full)}"


LayerPruningEnv.__doc__ = (LayerPruningEnv.__doc__ or "").replace(
    "<observation table>", observation_table().replace("\n", "\n    ")
)
