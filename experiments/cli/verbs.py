"""The verbs of the command line in one table. A new verb is a line here, its settings, and its function."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from typing import Any, Protocol

from rlprune.experiments.settings import result_configs as results
from rlprune.experiments.settings import verb_configs as configs
from rlprune.experiments.settings.options import Settings


class Answer(Protocol):
    """What the function of a verb returns. Its ``exit_code``, where it has one, is that of the command."""

    def as_dict(self) -> dict[str, object]:
        """One JSON object."""
        ...

    def show(self) -> None:
        """Print it for people, on stdout."""
        ...


@dataclass(frozen=True)
class Verb:
    """What can be asked of the command line.

    Attributes:
        name: of the verb.
        config: class of its settings.
        function: what is called with these settings and returns an :class:`Answer`, as ``module:name`` below
            ``rlprune.experiments``; imported only when it is called, since most of them take seconds to import.
        summary: what it does.
        example: a command.
        keeps_command: whether the function also takes the command as it was typed, which it writes down.
    """

    name: str
    config: type[Settings]
    function: str
    summary: str
    example: str
    keeps_command: bool = False

    def run(self, config: Settings, command: str) -> Answer:
        """Do it."""
        function = self.resolve()
        answer: Answer = function(config, command) if self.keeps_command else function(config)
        return answer

    def resolve(self) -> Any:
        """The function itself."""
        return pkgutil.resolve_name(f"rlprune.experiments.{self.function}")


_TABLE = (
    Verb(
        "demo",
        configs.DemoConfig,
        "cli.run_verbs:demo",
        "the whole job on a small network that ships with the project, within three minutes",
        "rlprune demo --budget latency=0.4 --decide channels",
        keeps_command=True,
    ),
    Verb(
        "inspect",
        configs.InspectConfig,
        "surveys.inspection:inspect_network",
        "tell what can be pruned in a network, and why the rest cannot",
        "rlprune inspect --network mine:network --input-shape 1,3,32,32",
    ),
    Verb(
        "devices",
        configs.DevicesConfig,
        "surveys.machine:find_devices",
        "tell what this machine can run, and what it can measure with",
        "rlprune devices",
    ),
    Verb(
        "profile",
        configs.ProfileConfig,
        "surveys.profiling:measure_profile",
        "measure latency and energy of pruned networks on this device",
        "rlprune profile --network fashion-resnet20 --out resnet20-here.json",
    ),
    Verb(
        "train",
        configs.TrainConfig,
        "cli.run_verbs:train",
        "train an agent to prune a network within a budget",
        "rlprune train --network fashion-resnet20 --budget latency=0.5 --episodes 300 --out runs/resnet20",
        keeps_command=True,
    ),
    Verb(
        "search",
        configs.SearchConfig,
        "cli.run_verbs:search",
        "search for a plan with any method, learning or not",
        "rlprune search --method evolutionary --network fashion-resnet20 --budget macs=0.5 --episodes 300",
        keeps_command=True,
    ),
    Verb(
        "sweep",
        configs.SweepConfig,
        "sweeping.running:sweep",
        "run what is missing of a study; exit code 1 where a member failed or is not complete",
        "rlprune sweep digits --processes 2",
        keeps_command=True,
    ),
    Verb(
        "compare",
        results.CompareConfig,
        "comparing.comparison:compare_runs",
        "put finished runs side by side",
        "rlprune compare runs/seed0 runs/seed1 runs/seed2 --out comparison",
    ),
    Verb(
        "front",
        results.FrontConfig,
        "fronting.joining:join_fronts",
        "weigh accuracy, latency, energy and more of all plans of finished runs, and choose one",
        "rlprune front runs/a runs/b --within latency=0.5 --within accuracy=0.98 --choose energy --out front",
    ),
    Verb(
        "replay",
        results.ReplayConfig,
        "pipeline.replaying:replay_run",
        "walk a learned policy over another network",
        "rlprune replay runs/resnet20 --network fashion-vgg --budget latency=0.4",
        keeps_command=True,
    ),
    Verb(
        "apply",
        results.ApplyConfig,
        "pipeline.applying:apply_plan",
        "prune a network as a plan says, and export it",
        "rlprune apply runs/resnet20/plan.json --network fashion-resnet20 --out pruned",
    ),
    Verb(
        "report",
        results.ReportConfig,
        "cli.run_verbs:report",
        "make the report and the pictures of a run again",
        "rlprune report runs/resnet20",
    ),
    Verb(
        "validate",
        results.ValidateConfig,
        "validating:validate_run",
        "measure again what a run claims (exit code 0: all that can be checked holds, 1: a claim differs)",
        "rlprune validate runs/resnet20 --evaluations 50 --out validation.json",
    ),
)
VERBS = {verb.name: verb for verb in _TABLE}
