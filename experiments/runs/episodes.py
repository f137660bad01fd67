"""The per-episode table of a search, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rlprune.agents.searcher import Episode
from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import cost_name
from rlprune.errors import RunError
from rlprune.experiments.runs.tables import csv_text
from rlprune.support.files import read_text

TERM = "term_"
MAX_CSV_BYTES = 32 * 2**20
MAX_VALUES = 2**21
MAX_COUNT = 10**6
"""Of episodes and evaluations: learning curves have a point for each."""
FIXED = ("number", "reward", "score", "divergence", "evaluations", "cache_hits", "seconds")
TEXTS = ("widths", "origin")
"""Columns that are no numbers; tables of earlier versions have no origin."""


def to_csv(episodes: Sequence[Episode]) -> str:
    """One line an episode: reward and its terms, quality, costs, counts, seconds, who decided, widths (spaced)."""
    return csv_text([_row(episode) for episode in episodes])


def _row(episode: Episode) -> dict[str, object]:
    outcome = episode.outcome
    return {
        "number": episode.number,
        "reward": outcome.reward,
        **{TERM + name: value for name, value in outcome.terms.items() if name not in ("score", "divergence")},
        "score": outcome.quality.score,
        "divergence": outcome.quality.divergence,
        **{cost_name(metric): cost for metric, cost in outcome.costs.items()},
        "evaluations": episode.evaluations,
        "cache_hits": episode.cache_hits,
        "seconds": round(episode.seconds, 4),
        "origin": episode.origin,
        "widths": " ".join(str(width) for width in outcome.levels),
    }


@dataclass(frozen=True, eq=False)
class EpisodeTable:
    """A table read back: one array a column, all ``[episodes]``; ``widths`` is ``int64 [episodes, G]``."""

    columns: dict[str, FloatArray]
    widths: IntArray

    def __getitem__(self, name: str) -> FloatArray:
        return self.columns[name]

    def place_of(self, levels: Sequence[int]) -> int | None:
        """The first episode of a plan; None where no episode has it."""
        same = (self.widths == np.array(levels)).all(axis=1)
        return int(np.argmax(same)) if same.any() else None


def read_csv(path: Path) -> EpisodeTable:
    """Read what :func:`to_csv` wrote.

    Raises:
        RunError: the file is missing, or is not such a table.
    """
    text = read_text(path, RunError, MAX_CSV_BYTES)
    if sum(map(text.count, ", \n")) > MAX_VALUES:
        raise RunError(f"{path} has more than {MAX_VALUES} values; so many are not read. Is it a table of episodes?")
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        widths = np.array([[int(width) for width in row["widths"].split()] for row in rows], dtype=np.int64)
        names = [name for name in rows[0] if name not in TEXTS]
        columns = {name: np.array([float(row[name]) for row in rows]) for name in names}
        _check(columns)
    except (LookupError, ValueError, TypeError, AttributeError, OverflowError, csv.Error) as reason:
        raise RunError(f"{path} is not a table of episodes ({reason!s:.200}). Train again.") from reason
    return EpisodeTable(columns, widths)


def _check(columns: dict[str, FloatArray]) -> None:
    missing = [name for name in FIXED if name not in columns]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if not np.isfinite(columns["reward"]).all():
        raise ValueError("every reward must be a finite number")
    for name in ("number", "evaluations", "cache_hits"):
        if not ((columns[name] >= 0) & (columns[name] <= MAX_COUNT)).all():
            raise ValueError(f"{name} must lie between 0 and {MAX_COUNT}")
