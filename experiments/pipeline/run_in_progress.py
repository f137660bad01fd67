"""A run while it is worked on: its folder, made late and ours until the end, and what a run that is stopped leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rlprune.errors import RunError
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.experiments.runs.interruption import Interrupted
from rlprune.experiments.runs.run_folder import PLAN, PROFILE, RunFolder
from rlprune.experiments.runs.sessions import RunCost
from rlprune.experiments.settings import commands
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.plans.plan import PruningPlan


@dataclass(frozen=True, eq=False)
class _Best:
    method: str
    outcome: Outcome
    problem: PruningProblem


class RunInProgress:
    """The work on a run, new or broken off: a ``with`` block, in which the folder is opened when it is first asked for.

    So what a user can get wrong is refused before anything is written. Its cost counts from when this is made.

    Args:
        config: the settings of the run.
        opened: the folder, ours while its context lasts.

    Attributes:
        cost: what the run takes.
    """

    def __init__(self, config: TrainConfig, opened: Callable[[], AbstractContextManager[RunFolder]]) -> None:
        self.config, self.cost = config, RunCost()
        self._opened, self._stack = opened, ExitStack()
        self._folder: RunFolder | None = None
        self._best: _Best | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    @property
    def folder(self) -> RunFolder:
        """Where the run is written.

        Raises:
            RunError: it cannot be made, or is no longer free.
        """
        if self._folder is None:
            self._folder = self._stack.enter_context(self._open())
        return self._folder

    def profile_path(self) -> Path:
        """Where the run keeps its device profile."""
        return self.folder.path / PROFILE

    def found(self, method: str, outcome: Outcome, problem: PruningProblem) -> None:
        """Note a plan that a method found: the best of all is kept where the run is stopped."""
        if self._best is None or outcome.reward > self._best.outcome.reward:
            self._best = _Best(method, outcome, problem)
        self.cost.tick()

    @contextmanager
    def _open(self) -> Iterator[RunFolder]:
        with self._opened() as run, self.cost.kept(run):
            try:
                yield run
            except KeyboardInterrupt as reason:
                raise Interrupted(" ".join([*self._leave_best(run), self._continued(run)])) from reason
            except OSError as reason:  # of a library that writes for us
                raise RunError(
                    f"Cannot write to {run.path}: {reason.strerror or reason}. What stands there is safe. Make room. "
                    f"{self._continued(run)}"
                ) from reason

    def _continued(self, run: RunFolder) -> str:
        return f"Continue with: {commands.resume(run.path, self.config)}"

    def _leave_best(self, run: RunFolder) -> list[str]:
        """Write the best plan so far, and say where it is."""
        if self._best is None:
            return []
        method, outcome, problem = self._best.method, self._best.outcome, self._best.problem
        notes = {**self.config.network_notes(), "method": method, "interrupted": True}
        PruningPlan.from_levels(problem.space, outcome.levels, notes).save(run.path / PLAN)
        score = f"{problem.evaluator.task.metric} {outcome.quality.score:.4f}"
        return [f"Best plan so far: {run.path / PLAN}, of {method} ({score} on the samples of the search)."]
