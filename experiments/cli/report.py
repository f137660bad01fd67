"""``rlprune report``."""

from __future__ import annotations

from rlprune.experiments.cli.train import RunAnswer
from rlprune.experiments.settings.run_config import ReportConfig

CONFIG = ReportConfig
EXAMPLE = "rlprune report runs/resnet20"


def run(config: ReportConfig, command: str) -> RunAnswer:
    """Make report and pictures again from the files of the run."""
    from rlprune.experiments.reports.report import write_report
    from rlprune.experiments.runs.run_folder import RESULT, RunFolder

    folder = RunFolder.open(config.run, RESULT, "command.txt")
    result = write_report(folder)
    return RunAnswer(folder, result)
