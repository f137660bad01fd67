"""The settings of each verb of the command line."""

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
    SEARCH,
    SETTINGS,
    TARGET,
    Settings,
    at_least,
    check_known,
    check_positive,
    fits,
    flag_of,
    like,
    option,
)
from rlprune.experiments.settings.parsing import key_values, parse_preferences, parse_shape, parse_width_rules
from rlprune.experiments.settings.problem import (
    CHOSEN,
    DEVICE_HELP,
    LONG_ENOUGH,
    DecideConfig,
    NetworkConfig,
    ProblemConfig,
    WidthsConfig,
)

RUN_HELP = "run folder of `rlprune train`"
RUNS_HELP = "run folders, or folders that hold some"
THE_RUNS = "the run's"
ON_ITS_NETWORK = "the run's, on the run's own network"
NOWHERE = "nothing is written"


@dataclass(frozen=True)
class InspectConfig(WidthsConfig):
    """What is told about a network."""

    input_shape: str | None = option(
        None,
        "shape of a single input tensor, such as 1,3,224,224",
        TARGET,
        otherwise="what the network or its task gives",
        first=True,
    )
    out: str | None = option(None, "JSON file for the same", OUTPUT, otherwise=NOWHERE, first=True)

    def check(self) -> None:
        """Refuse settings out of range."""
        super().check()
        self.shape()

    def shape(self) -> list[int] | None:
        """The shape that was asked for, batch first.

        Raises:
            ConfigError: it does not read as one.
        """
        return None if self.input_shape is None else parse_shape("--input-shape", self.input_shape)


@dataclass(frozen=True)
class DevicesConfig(Settings):
    """What can be run and measured here; nothing is to be set."""


@dataclass(frozen=True)
class ProfileConfig(DecideConfig):
    """How a device profile is measured."""

    device: str = option("cpu", DEVICE_HELP, TARGET, first=True)
    out: str = option(
        "profile.json",
        "where the profile is written; a measurement that was interrupted goes on from there",
        OUTPUT,
        first=True,
    )
    plans: int = option(64, "plans that are measured", PROFILING, first=True, check=at_least(1))
    checks: int = option(16, "further plans on which the profile is checked", PROFILING, check=at_least(1))
    samples: int = option(300, "timings of each plan", PROFILING, check=at_least(1))
    batch: int = option(1, "samples in one inference", PROFILING, first=True, check=at_least(1))
    precision: str = option("float32", "float32, float16 or bfloat16, as far as the runtime has it", PROFILING)
    bound: float = like(ProblemConfig, "profile_bound", 0.03)
    minutes: float | None = like(ProblemConfig, "profile_minutes", None, otherwise=LONG_ENOUGH)
    window: float = option(
        5.0, "seconds in which the energy of one plan is read, where there is a meter", PROFILING, check=check_positive
    )
    watts: float | None = like(ProblemConfig, "watts", None)
    extend: bool = option(False, "measure further plans for the profile in --out, and fit it again", PROFILING)
    any_network: bool = option(
        False,
        "measure kinds of layers on a grid: the profile then fits any network that is made of them",
        PROFILING,
        first=True,
    )
    no_pictures: bool = option(False, "draw nothing; else pictures stand beside --out, in NAME-pictures", OUTPUT)

    @property
    def limit_s(self) -> float | None:
        """The time limit of measuring, where there is one."""
        return None if self.minutes is None else 60 * self.minutes

    def check(self) -> None:
        """Refuse settings out of range."""
        super().check()
        if self.extend and self.any_network:
            raise ConfigError("--extend is for the profile of one network; it cannot go with --any-network.")


@dataclass(frozen=True)
class SearchSettings(ProblemConfig):
    """How long and with what a search is made, whatever the method."""

    preset: str = option(
        "default", "settings of the agent: default, plain (the algorithm as it comes), no-model, ...", SEARCH
    )
    setting: list[str] = option([], "a setting of the agent, such as optimism=2", SEARCH)
    episodes: int = option(
        300,
        "new plans that each method evaluates at most; fewer where it finds no more (50 known in a row)",
        SEARCH,
        first=True,
        check=at_least(1),
    )
    finalists: int = option(
        8, "best plans of each method that are scored again on all validation samples", SEARCH, check=at_least(1)
    )
    workers: int | None = option(
        None, "processes that evaluate plans, each with one thread", SEARCH, otherwise="1", check=at_least(1, 1024)
    )
    levels: int = option(
        11, "budgets between the ends of a range that are searched together", SEARCH, check=at_least(2, 1001)
    )
    prefer: list[str] = option(
        [], "what counts on the front of a range: accuracy=1, latency=1, energy=0.5, macs, params", SEARCH
    )
    on_nan: str = option(
        "stop", "what a plan whose reward is NaN does: stop the run, or skip (it counts as the worst)", SEARCH
    )
    out: str | None = option(
        None, "run folder, new or empty", OUTPUT, otherwise="runs/ and a name made of the settings", first=True
    )
    resume: str | None = option(
        None, "run folder that was broken off: go on there, to the same result", OUTPUT, first=True
    )

    def check(self) -> None:
        """Refuse settings out of range; names of methods and presets are checked where they are known."""
        super().check()
        check_known("answer to --on-nan", [self.on_nan], ("stop", "skip"))
        self.agent_settings()
        parse_preferences(self.prefer)
        if self.prefer and self.budget_range() is None:
            raise ConfigError("--prefer chooses on a front: it needs a range, such as --budget latency=0.3..0.8.")

    def agent_settings(self) -> dict[str, Any]:
        """The agent's settings that were changed.

        Raises:
            ConfigError: one that does not read as key=value.
        """
        return key_values("--setting", self.setting, "optimism=2")

    def check_resume(self) -> None:
        """Refuse settings beside ``resume``, but for ``workers``, on which no result depends, and what names code.

        Raises:
            ConfigError: it names them.
        """
        known = self.options()
        given = [name for name, item in known.items() if getattr(self, name) != item.default]
        others = [flag_of(name) for name in given if name not in ("resume", "workers", "network", "task")]
        if others:
            raise ConfigError(
                f"A run is continued with its own settings; {', '.join(others)} came beside --resume. Leave them out, "
                "or start a new run."
            )

    def name_of_run(self, method: str) -> str:
        """The run folder: ``out``, or a name made of network, budgets, method and seed."""
        parts = [self.network.replace(":", "."), *(text.replace("=", "") for text in self.budget), method]
        return self.out or f"runs/{'-'.join(parts)}-seed{self.seed}"


@dataclass(frozen=True)
class TrainConfig(SearchSettings):
    """One training run."""

    agent: str = option(
        "ddpg", "what learns: ddpg, td3, sac, tqc or ppo; or any other method of rlprune search", SEARCH, first=True
    )
    baselines: list[str] = option(
        ["random"], "searcher run for comparison (uniform and filled are always there); [] for none", SEARCH
    )

    def folder(self) -> str:
        """The run folder: ``out``, or a name made of network, budgets, agent and seed."""
        return self.name_of_run(self.agent)


@dataclass(frozen=True)
class SearchConfig(SearchSettings):
    """One search, by any method."""

    method: str = option(
        "random",
        "random, evolutionary, tpe, nsga2, greedy, sensitivity, threshold, or an agent: ddpg, td3, sac, tqc, ppo",
        SEARCH,
        first=True,
    )

    def as_training(self) -> TrainConfig:
        """The same as a training of that method alone."""
        if self.resume is not None:
            self.check_resume()
            return TrainConfig(resume=self.resume, workers=self.workers, network=self.network, task=self.task)
        shared = {item.name: getattr(self, item.name) for item in dataclasses.fields(SearchSettings)}
        return TrainConfig(agent=self.method, baselines=[], **shared)


@dataclass(frozen=True)
class DemoConfig(Settings):
    """The whole job, small."""

    episodes: int = option(100, "new plans of the agent, and of random search")
    budget: list[str] = option(["size=0.025"], "hard limit")
    decide: list[str] = like(ProblemConfig, "decide", ["channels", "bits"], group=SETTINGS)
    seed: int = like(ProblemConfig, "seed", 0, group=SETTINGS)
    out: str | None = option(None, "run folder", otherwise="a new one under runs/")


@dataclass(frozen=True)
class SweepConfig(Settings):
    """Many runs that differ in a few settings."""

    study: str = option("", "the study: a YAML file, or the name of one that ships, such as digits", positional=True)
    out: str | None = option(None, "study folder", otherwise="studies/ and the name of the study")
    processes: int = option(1, "members that run at the same time, each in a process of its own", check=at_least(1))
    retry: bool = option(False, "run members again that failed before")
    dry_run: bool = option(False, "list the members and what is missing; nothing is run or written")
    ray: str | None = option(None, "run on Ray: the address of a cluster, or local for this machine alone")


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
        "2 to 5 of accuracy, latency, energy, macs, params, size, latency_p99, divergence",
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
