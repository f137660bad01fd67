"""TensorBoard events of a run: an entry for each method, so that their curves lie over each other."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from rlprune.agents.searcher import Episode
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.runs.interruption import uninterrupted
from rlprune.experiments.runs.row import UNSEARCHED
from rlprune.experiments.tensorboard.curves import Curves, Scalars, curves_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Column: TypeAlias = bool | str | float | int
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
FOLDER = "tensorboard"


def entry_name(method: str, seed: int) -> str:
    """What TensorBoard calls a method of a run: ``ddpg-seed0``."""
    return f"{method}-seed{seed}"


@contextmanager
def quiet_writers() -> Iterator[None]:
    """No tracebacks of TensorBoard's writer threads: what they fail at is raised again where they are used."""
    told = threading.excepthook

    def quiet(failure: threading.ExceptHookArgs) -> None:
        if type(failure.thread).__module__ != "tensorboard.summary.writer.event_file_writer":
            told(failure)

    threading.excepthook = quiet
    try:
        yield
    finally:
        threading.excepthook = told


class EpisodeWriter:
    """Events of one entry; ``docs/tensorboard.md`` lists the tags.

    Args:
        folder: where the events go.
        curves: what is shown of an episode, one step each.
    """

    def __init__(self, folder: Path, curves: Curves) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: SummaryWriter = SummaryWriter(str(folder))
        self._curves = curves

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with uninterrupted():
            self.writer.close()

    def add(self, episode: Episode, wall_time: float | None = None) -> None:
        """Write one finished episode.

        Args:
            wall_time: when the episode ended, in seconds since 1970; now, if it just did.
        """
        self._write(self._curves.of(episode), episode.number, wall_time)

    def add_level(self, name: str, episodes: int) -> None:
        """Write a plan that needs no search as level lines over all episodes."""
        for step in sorted({1, episodes}):
            self._write(self._curves.level(name), step, None)

    def _write(self, scalars: Scalars, step: int, wall_time: float | None) -> None:
        with uninterrupted():
            for tag, value in scalars.items():
                self.writer.add_scalar(tag, value, step, walltime=wall_time)

    def add_columns(self, values: Mapping[str, Column]) -> None:
        """Write settings and results as one row of the HParams tab.

        ``SummaryWriter.add_hparams`` would also write which columns there are, and TensorBoard would take those of
        the first run for all. Without, it shows the columns of all runs, those that differ first. Results are columns
        too and no metrics: TensorBoard draws every metric as a chart, and these would have one dot.
        """
        from torch.utils.tensorboard.summary import hparams

        _, start, end = hparams(dict(values), {})
        with uninterrupted():
            for summary in (start, end):
                self.writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]

    def add_texts(self, texts: Mapping[str, str]) -> None:
        """Write Markdown texts by tag."""
        with uninterrupted():
            for tag, text in texts.items():
                self.writer.add_text(tag, text)

    def add_pictures(self, pictures: Mapping[str, UInt8Array]) -> None:
        """Write pictures, ``uint8 [height, width, 3]`` each, by name."""
        with uninterrupted():
            for name, pixels in pictures.items():
                self.writer.add_image(f"view/{name}", pixels, dataformats="HWC")


@contextmanager
def episode_writers(
    folder: Path, seed: int, searched: Sequence[str], problems: Sequence[PruningProblem], episodes: int
) -> Iterator[dict[str, EpisodeWriter]]:
    """A writer for each method of a run, in the place of what a session that was broken off left.

    Args:
        folder: of the run.
        searched: methods that search; those that do not are drawn at once, as level lines over all episodes.
        problems: one a budget, lowest first.
    """
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    with quiet_writers(), ExitStack() as stack:
        writers = {
            name: stack.enter_context(EpisodeWriter(folder / FOLDER / entry_name(name, seed), curves_of(problems)))
            for name in (*UNSEARCHED, *searched)
        }
        for name in UNSEARCHED:
            writers[name].add_level(name, episodes)
        yield writers
