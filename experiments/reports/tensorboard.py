"""TensorBoard events of a run: one subfolder a method, so that their curves lie over each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rlprune.agents.searcher import Episode
from rlprune.evaluation.problem import Outcome
from rlprune.experiments.reports.curves import Curves, Scalars
from rlprune.experiments.reports.hparams import HParam
from rlprune.experiments.runs.interruption import uninterrupted

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


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
    """Events of one method; ``docs/tensorboard.md`` lists the tags.

    Args:
        folder: where the events go.
        curves: what is shown of an episode, one step each.
    """

    def __init__(self, folder: Path, curves: Curves) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: SummaryWriter = SummaryWriter(str(folder))
        self._curves = curves
        self._steps = 1

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with uninterrupted():
            self.writer.close()

    def add(self, episode: Episode, best: Outcome, wall_time: float | None = None) -> None:
        """Write one finished episode.

        Args:
            best: the outcome of highest reward so far.
            wall_time: when the episode ended, in seconds since 1970; now, if it just did.
        """
        self._write(self._curves.of(episode, best), episode.number, wall_time)

    def add_level(self, name: str, episodes: int) -> None:
        """Write a plan that needs no search, ``uniform`` or ``filled``, as level lines over all episodes."""
        for step in sorted({1, episodes}):
            self._write(self._curves.level(name), step, None)

    def _write(self, scalars: Scalars, step: int, wall_time: float | None) -> None:
        self._steps = max(self._steps, step)
        with uninterrupted():
            for tag, value in scalars.items():
                self.writer.add_scalar(tag, value, step, walltime=wall_time)

    def add_result(self, settings: Mapping[str, HParam], metrics: Scalars) -> None:
        """Write settings and final metrics for the HParams tab, where runs compare at a glance.

        ``SummaryWriter.add_hparams`` would also write which columns there are, and TensorBoard would take those of
        the first run for all. Without, it shows the columns of all runs, those that differ first.
        """
        from torch.utils.tensorboard.summary import hparams

        self._write(metrics, self._steps, None)
        _, start, end = hparams(dict(settings), {})
        with uninterrupted():
            for summary in (start, end):
                self.writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]

    def add_texts(self, texts: Mapping[str, str]) -> None:
        """Write Markdown texts by tag."""
        with uninterrupted():
            for tag, text in texts.items():
                self.writer.add_text(tag, text)

    def add_pictures(self, pictures: Sequence[Path]) -> None:
        """Write PNG files as images, each tagged by its name."""
        from matplotlib.image import imread

        for path in pictures:
            image = imread(path)[..., :3]
            with uninterrupted():
                self.writer.add_image(f"view/{path.stem}", image, dataformats="HWC")
