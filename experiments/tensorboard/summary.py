"""What TensorBoard shows of a finished run beside its curves: columns of settings and results, pictures and texts."""

from __future__ import annotations

from collections.abc import Mapping

from rlprune.envs.plan_figure import pixels_of
from rlprune.experiments.presenting.document import Bullets, Code, Words, block_to_markdown
from rlprune.experiments.reports.outcome import rows_table
from rlprune.experiments.reports.pictures import thumbnails_of
from rlprune.experiments.reports.sections import plan_table, range_front
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.tensorboard.columns import columns_of
from rlprune.experiments.tensorboard.events import EpisodeWriter

DPI = 200
"""TensorBoard shows pictures half as large as they are drawn then: sharp where a pixel of the screen is two."""


def write_summary(run: RunFolder, config: TrainConfig, result: Result, writers: Mapping[str, EpisodeWriter]) -> None:
    """Settings and results with every method's curves; pictures and texts of the run with the agent's."""
    for row in result.rows:
        if row.name in writers:
            writers[row.name].add_columns(columns_of(config, result, row))
    figures = thumbnails_of(result, run.episode_tables(result.searches))
    learned = writers[config.agent]
    learned.add_pictures({name: pixels_of(figure, DPI) for name, figure in figures.items()})
    learned.add_texts(_texts(run, result))


def _texts(run: RunFolder, result: Result) -> dict[str, str]:
    front = [block for section in range_front(result, {}) for block in section.blocks]
    table = rows_table(result, ("network", result.metric, "latency", "MACs"))
    outcome = [Words(result.verdict), table, *front, Bullets(list(map(str, result.notes)))]
    return {
        "outcome": "\n\n".join(map(block_to_markdown, outcome)),
        "plan": block_to_markdown(plan_table(result)),
        "reproduce": block_to_markdown(Code(run.command())),
    }
