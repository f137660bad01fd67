"""TensorBoard events of a run: one subfolder a method, so that their curves lie over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rlprune.agents.search import Episode
from rlprune.budget import cost_name
from rlprune.problem import Outcome

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

HParam = bool | str | float | int


class EpisodeWriter:
    """Scalars of one method, one step an episode.

    Tags: ``reward/total`` and ``reward/<term>``; ``quality/<metric>``, ``quality/divergence``; ``cost/latency_ms``,
    ``cost/energy_mj``, ``cost/macs``, ``cost/params``; ``search/evaluations``, ``search/cache_hits``;
    ``keep_ratio/<group>``; ``best/...`` for the plan of highest reward so far.

    Args:
        folder: where the events go.
        groups: names of the groups.
        dense_widths: their channels.
        metric: what the score is called.
    """

    def __init__(self, folder: Path, groups: Sequence[str], dense_widths: Sequence[int], metric: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: SummaryWriter = SummaryWriter(str(folder))
        self._groups = list(zip(groups, dense_widths, strict=True))
        self._metric = metric

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    def add(self, episode: Episode, best: Outcome, wall_time: float | None = None) -> None:
        """Write one finished episode; ``wall_time`` is when it ended, seconds since 1970, now by default."""
        counts = {"search/evaluations": episode.evaluations, "search/cache_hits": episode.cache_hits}
        self._write(self._scalars(episode.outcome, best) | counts, episode.number, wall_time)

    def add_constant(self, outcome: Outcome, episodes: int) -> None:
        """Write a plan that needs no search as a level line over all episodes."""
        for step in sorted({1, episodes}):
            self._write(self._scalars(outcome, outcome), step)

    def _scalars(self, outcome: Outcome, best: Outcome) -> dict[str, float]:
        kept = zip(self._groups, outcome.widths, strict=True)
        return {
            "reward/total": outcome.reward,
            **{f"reward/{name}": value for name, value in outcome.terms.items()},
            **{f"quality/{name}": value for name, value in self._quality(outcome).items()},
            **{f"cost/{name}": value for name, value in _costs(outcome).items()},
            "best/reward": best.reward,
            **{f"best/{name}": value for name, value in (self._quality(best) | _costs(best)).items()},
            **{f"keep_ratio/{name}": float(count) / width for (name, width), count in kept},
        }

    def _quality(self, outcome: Outcome) -> dict[str, float]:
        return {self._metric: outcome.quality.score, "divergence": outcome.quality.divergence}

    def _write(self, scalars: Mapping[str, float], step: int, wall_time: float | None = None) -> None:
        for tag, value in scalars.items():
            self.writer.add_scalar(tag, value, step, wall_time)

    def finish(self, settings: Mapping[str, HParam], final: Mapping[str, float]) -> None:
        """Write settings and final metrics for the HParams tab, where runs compare at a glance."""
        metrics = {f"final/{name}": value for name, value in final.items()}
        self.writer.add_hparams(dict(settings), metrics, run_name=".")

    def add_texts(self, texts: Mapping[str, str]) -> None:
        """Write Markdown texts by tag."""
        for tag, text in texts.items():
            self.writer.add_text(tag, text)

    def add_pictures(self, pictures: Sequence[Path]) -> None:
        """Write PNG files as images, each tagged by its name."""
        from matplotlib.image import imread

        for path in pictures:
            image = imread(path)[..., :3]
            self.writer.add_image(f"pictures/{path.stem}", image, dataformats="HWC")


def _costs(outcome: Outcome) -> dict[str, float]:
    return {cost_name(metric): cost for metric, cost in outcome.costs.items()}
