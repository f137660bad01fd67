"""The settings of the verbs that use what a search has found."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlprune.budgets.limits import RANGE
from rlprune.errors import ConfigError
from rlprune.experiments.settings.options import (
    OUTPUT,
    PROFILING,
    RULES,
    TARGET,
    Settings,
    at_least,
    fits,
    like,
    option,
)
from rlprune.experiments.settings.parsing import PREFERABLE, parse_width_rules
from rlprune.experiments.settings.problem import (
    CHOSEN,
    DEVICE_HELP,
    LONG_ENOUGH,
    NetworkConfig,
    ProblemConfig,
)
from rlprune.experiments.settings.verb_configs import NOWHERE, TrainConfig

RUN_HELP = "run folder of `rlprune train`"
RUNS_HELP = "run folders, or folders that hold some"
THE_RUNS = "the run's"
ON_ITS_NETWORK = "the run's, on the run's own network"


@dataclass(frozen=True)
class CompareConfig(Settings):
    """Finished runs side by side."""

    runs: list[str] = option([], RUNS_HELP, positional=True)
    out: str | None = option(None, "new or empty folder for compare.md, compare.json, compare.csv and the pictures")


@dataclass(frozen=True)
class FrontConfig(Settings):
    """Fronts of finished runs, and a plan chosen on them."""

    runs: list[str] = option([], RUNS_HELP, positional=True)
    objective: list[str] = option(
        [],
        f"2 to 5 of {', '.join(PREFERABLE)}, divergence",
        otherwise="accuracy, latency and energy where they are known and costs with a budget, else accuracy and macs",
    )
    among: str = option(
        "measured", "plans to choose from: measured (scored at the end), or searched (all of the search)"
    )
    within: list[str] = option(
        [],
        "only plans that keep to this: latency=0.5 of the dense network's or energy=2mJ at most, accuracy=0.98 of the "
        "dense network's or accuracy=90% at least",
    )
    choose: str | None = option(
        None,
        "which of the plans within: knee, or the best in an objective",
        otherwise="accuracy with --within, else knee",
    )
    prefer: list[str] = option([], "choose by weights instead: accuracy=2, latency=1")
    out: str | None = option(None, "new or empty folder for front.md, front.json, front.csv, plan.json and pictures")


@dataclass(frozen=True)
class ReplayConfig(Settings):
    """A learned policy on another network; what is not given is taken from the run."""

    run: str = option("", RUN_HELP, positional=True)
    network: str | None = option(None, "the other network", TARGET, otherwise="the run's own", first=True)
    task: str | None = like(TrainConfig, "task", None, otherwise="what the network was trained on")
    data_dir: str | None = like(TrainConfig, "data_dir", None, otherwise="found by itself")
    ignore: list[str] = like(TrainConfig, "ignore", [], otherwise=ON_ITS_NETWORK)
    only: list[str] = like(TrainConfig, "only", [], otherwise=ON_ITS_NETWORK)
    outputs: list[str] = like(TrainConfig, "outputs", [], otherwise=ON_ITS_NETWORK)
    minimum: float | None = like(TrainConfig, "minimum", None, otherwise=THE_RUNS)
    rule: list[str] = like(TrainConfig, "rule", [], otherwise=ON_ITS_NETWORK)
    budget: list[str] = option([], "hard limit", TARGET, otherwise=THE_RUNS, first=True)
    device: str | None = option(
        None,
        "as for train",
        TARGET,
        otherwise="the run's, measured here only where a budget or the reward needs it",
        first=True,
    )
    samples: int | None = like(TrainConfig, "samples", None, otherwise=THE_RUNS)
    profile_minutes: float | None = like(TrainConfig, "profile_minutes", None, otherwise=f"the run's, or {LONG_ENOUGH}")
    out: str | None = option(
        None, "new or empty folder for plan.json and result.json", OUTPUT, otherwise=NOWHERE, first=True
    )

    def check(self) -> None:
        """Refuse settings out of range."""
        super().check()
        parse_width_rules(self.rule, 1, 0.0)
        for text in self.budget:
            if RANGE in text:
                raise ConfigError(f"A policy is replayed at single budgets; {text!r} came. Choose one of that range.")

    def settings(self, run: TrainConfig) -> TrainConfig:
        """Those of ``run`` with what was given in their place; layer names hold on the run's own network only."""
        other = self.network is not None and self.network != run.network
        return dataclasses.replace(
            run,
            network=self.network or run.network,
            task=self.task or (None if other else run.task),
            data_dir=self.data_dir or run.data_dir,
            ignore=self.ignore or ([] if other else run.ignore),
            only=self.only or ([] if other else run.only),
            outputs=self.outputs or ([] if other else run.outputs),
            minimum=run.minimum if self.minimum is None else self.minimum,
            rule=self.rule or ([] if other else run.rule),
            budget=self.budget or run.budget,
            samples=self.samples or run.samples,
            profile_minutes=self.profile_minutes or run.profile_minutes,
        )


@dataclass(frozen=True)
class ApplyConfig(NetworkConfig):
    """A plan put into practice."""

    plan: str = option("", "the plan, a JSON file", positional=True)
    out: str = option("pruned", "new or empty folder for the pruned network", OUTPUT, first=True)
    device: str = option("cpu", DEVICE_HELP + "; the pruned network is timed on it", TARGET, first=True)
    samples: int = option(300, "timings of each network", PROFILING, check=at_least(1))
    watts: float | None = like(ProblemConfig, "watts", None)
    no_repair: bool = option(
        False, "only cut, largest L1 norms stay: no least squares, BatchNorm as it was", RULES, first=True
    )

    def as_planned(self, notes: Mapping[str, Any]) -> ApplyConfig:
        """With the ``ignore``, ``only`` and ``outputs`` that a plan's notes hold, where none of them was given.

        Raises:
            ConfigError: the notes hold something else under these names.
        """
        if any(getattr(self, name) for name in CHOSEN):
            return self
        noted = {name: notes[name] for name in CHOSEN if name in notes}
        for name, patterns in noted.items():
            if not fits(patterns, list[str]):
                raise ConfigError(
                    f"The plan's note {name!r} must be a list of names; {patterns!r:.80} came. Give --{name}."
                )
        return dataclasses.replace(self, **noted)


@dataclass(frozen=True)
class ReportConfig(Settings):
    """A report made again from the files of a run."""

    run: str = option("", RUN_HELP, positional=True)


@dataclass(frozen=True)
class ValidateConfig(Settings):
    """The claims of a finished run, checked again."""

    run: str = option("", RUN_HELP, positional=True)
    network: str | None = option(
        None, "the run's network, where it is module:function: whose code is run, you say", TARGET
    )
    task: str | None = option(None, "the run's task, where it is module:function", TARGET)
    data_dir: str | None = like(TrainConfig, "data_dir", None, otherwise="the run's, else found by itself")
    evaluations: int = option(
        20, "evaluations of the search that are repeated, drawn at random; 0 for none", check=at_least(0)
    )
    seed: int = option(0, "seed of that draw", check=at_least(0, 2**64))
    samples: int | None = option(None, "timings of each network", otherwise=THE_RUNS, check=at_least(1))
    no_timing: bool = option(False, "latency is not measured again")
    out: str | None = option(None, "JSON file, or folder for validation.json", OUTPUT, otherwise=NOWHERE)
