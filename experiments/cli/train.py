"""``rlprune train``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlprune.experiments.settings.run_config import TrainConfig

if TYPE_CHECKING:
    from rlprune.experiments.runs.result import Result
    from rlprune.experiments.runs.run_folder import RunFolder

CONFIG = TrainConfig
EXAMPLE = "rlprune train --network fashion-resnet20 --budget latency=0.5 --episodes 300 --out runs/resnet20"


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
        from rlprune.experiments.runs.run_folder import NETWORKS
        from rlprune.experiments.runs.tables import print_rows
        from rlprune.experiments.settings.commands import tensorboard

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


def run(config: TrainConfig, command: str) -> RunAnswer:
    """Train, and read the result back."""
    from rlprune.experiments.pipeline.training import train

    folder = train(config, command)
    return RunAnswer(folder, folder.result())
