"""What TensorBoard shows of a finished run beside its curves: settings, results, pictures and texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rlprune.experiments.presenting.document import block_to_markdown
from rlprune.experiments.reports import profile_pictures
from rlprune.experiments.reports.hparams import hparams_of, metrics_of
from rlprune.experiments.reports.report import notes, plan_table
from rlprune.experiments.reports.report_sections import CAPTIONS, front
from rlprune.experiments.reports.tensorboard import EpisodeWriter
from rlprune.experiments.runs.result import Result, Row
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.runs.tables import markdown_rows
from rlprune.experiments.settings.verb_configs import TrainConfig


def write_summaries(run: RunFolder, config: TrainConfig, result: Result, writers: Mapping[str, EpisodeWriter]) -> None:
    """Settings and results with every method's curves; pictures and texts of the run with the agent's.

    The pictures of the profile stay in the report: they show the device, not the run.
    """
    rows = result.rows
    dense = next(row for row in rows if row.role == "dense")
    for row in rows:
        if row.name in writers:
            writers[row.name].add_result(hparams_of(config, result, row), metrics_of(result, row, dense))
    learned = writers[config.agent]
    learned.add_pictures(_pictures(run))
    learned.add_texts(_texts(run, result, rows))


def _pictures(run: RunFolder) -> list[Path]:
    paths = [run.path / "pictures" / f"{name}.png" for name in CAPTIONS if name not in profile_pictures.CAPTIONS]
    return [path for path in paths if path.is_file()]


def _texts(run: RunFolder, result: Result, rows: list[Row]) -> dict[str, str]:
    outcome = [result.verdict, markdown_rows(result.metric, rows), notes(result)]
    outcome += [block_to_markdown(block) for section in front(result, {}) for block in section.blocks]
    return {"outcome": "\n\n".join(outcome), "plan": plan_table(result, rows), "reproduce": f"`{run.command()}`"}
