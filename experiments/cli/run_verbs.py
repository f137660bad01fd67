"""The verbs that make a run, or its report again: they answer with the run."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from rlprune.experiments.pipeline import training
from rlprune.experiments.reports.report import write_report
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.run_folder import NETWORKS, RESULT, RunFolder
from rlprune.experiments.runs.tables import print_rows
from rlprune.experiments.settings.commands import tensorboard
from rlprune.experiments.settings.verb_configs import DemoConfig, ReportConfig, SearchConfig, TrainConfig


@dataclass(frozen=True)
class RunAnswer:
    """A finished run: its table, what it says, and where its files are."""

    run: RunFolder
    result: Result

    def as_dict(self) -> dict[str, object]:
        """``result.json`` and the folder."""
        return {"run": str(self.run.path), **self.result.as_dict()}

    def show(self) -> None:
        """Print the table, the verdict and where to look next."""
        result, path = self.result, self.run.path
        title = f"{result.network} on {result.task}, {', '.join(result.budgets)}"
        print_rows(title, result.metric, result.rows)
        print(result.verdict.replace("**", ""))
        for note in result.notes:
            print(f"- {note}")
        print(f"\nPlan:        {path / 'plan.json'}")
        print(f"Network:     {', '.join(str(file) for file in (path / name for name in NETWORKS) if file.is_file())}")
        print(f"Report:      {path / 'report.html'}")
        print(f"Pictures:    {path / 'pictures'}")
        print(f"TensorBoard: {tensorboard(path / 'tensorboard')}")


def train(config: TrainConfig, command: str) -> RunAnswer:
    """Train, and read the result back."""
    folder = training.train(config, command)
    return RunAnswer(folder, folder.result())


def search(config: SearchConfig, command: str) -> RunAnswer:
    """Search with one method; uniform and filled stand beside it."""
    return train(config.as_training(), command)


def demo(config: DemoConfig, command: str) -> RunAnswer:
    """The whole job on the network of the digits."""
    settings = TrainConfig(
        network="digits-resnet",
        budget=config.budget,
        decide=config.decide,
        episodes=config.episodes,
        seed=config.seed,
        out=config.out or str(free_folder(Path("runs"))),
        profile_plans=40,
        profile_checks=12,
    )
    return train(settings, command)


def free_folder(parent: Path) -> Path:
    """The first of ``demo-1``, ``demo-2``, ... that does not exist."""
    return next(path for number in itertools.count(1) if not (path := parent / f"demo-{number}").exists())


def report(config: ReportConfig) -> RunAnswer:
    """Make report and pictures again from the files of the run."""
    folder = RunFolder.open(config.run, RESULT, "command.txt")
    return RunAnswer(folder, write_report(folder))
