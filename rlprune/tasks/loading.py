"""The splits of a task, loaded when they are asked for first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rlprune.errors import TaskError
from rlprune.tasks.split import Split

SplitSource = Split | Callable[[], Split]
"""A split, or what loads it."""


class LoadedSplits:
    """Splits by name; each is loaded and checked once.

    Args:
        task: its name, for messages.
        sources: name -> where the split comes from; None where there is none.
        check: refuses a split with bad values; it is told where the split stands.
    """

    def __init__(
        self, task: str, sources: Mapping[str, SplitSource | None], check: Callable[[Split, str], None]
    ) -> None:
        self._task, self._sources, self._check = task, sources, check
        self._splits: dict[str, Split] = {}
        self._used: list[str] = []

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the splits that were used so far, in the order of their first use."""
        return tuple(self._used)

    def used(self, which: str) -> Split:
        """A split for use.

        Raises:
            TaskError: there is none of this name, it cannot be loaded, or it holds what cannot be.
        """
        split = self.known(which)
        if which not in self._used:
            self._used.append(which)
        return split

    def known(self, which: str) -> Split:
        """A split to look at, which does not count as used; raises as :meth:`used`."""
        if which not in self._splits:
            self._splits[which] = self._checked(which)
        return self._splits[which]

    def _checked(self, which: str) -> Split:
        source = self._sources[which]
        if source is None:
            raise TaskError(
                f"Task {self._task!r} has no {which} split. Give Task(...) one: {which}=Split(inputs, targets)."
            )
        where = f"{which} split of task {self._task!r}"
        split = _loaded(source, where)
        if not isinstance(split, Split):
            raise TaskError(f"The {where} must be a Split; got {type(split).__name__}.")
        self._check(split, where)
        for other, known in self._splits.items():
            if known.sample_shapes != split.sample_shapes:
                shapes = f"{split.sample_shapes} against {known.sample_shapes} in {other}"
                raise TaskError(f"Samples of all splits must have one shape; the {where} has {shapes}.")
        return split


def _loaded(source: SplitSource, where: str) -> object:
    if not callable(source):
        return source
    try:
        return source()
    except TaskError:
        raise
    except Exception as reason:
        raise TaskError(f"Loading the {where} failed: {type(reason).__name__}: {reason}.") from reason
