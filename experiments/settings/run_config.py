"""Settings of the verbs that make runs or work on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlprune.budgets.limits import RANGE
from rlprune.errors import ConfigError, unknown_name
from rlprune.experiments.settings.config import (
    CHOSEN,
    DECIDE_HELP,
    DEVICE_HELP,
    IGNORE_HELP,
    MINIMUM_HELP,
    MINUTES_HELP,
    ONLY_HELP,
    OUTPUTS_HELP,
    RULE_HELP,
    NetworkConfig,
    ProblemConfig,
)
from rlprune.experiments.settings.options import (
    at_least,
    check_measuring,
    check_watts,
    default_of,
    described,
    fits,
    key_values,
    option,
    parse_preferences,
)
from rlprune.experiments.settings.width_rules import check_minimum, parse_width_rules

METHOD_HELP = "random, evolutionary, tpe, nsga2, greedy, sensitivity, threshold, or an agent: ddpg, td3, sac, tqc, ppo"
SETTING_HELP = "a setting of the agent, such as optimism=2; repeatable"
PREFER_HELP = "what counts on the front of a range: accuracy=1, latency=1, energy=0.5, macs, params; repeatable"
OBJECTIVE_HELP = (
    "accuracy, latency, energy, macs, params, size, latency_p99 or divergence; repeatable, 2 to 5; default: accuracy, "
    "latency and energy where they are known and costs with a budget, else accuracy and macs"
)
WITHIN_HELP = (
    "only plans that keep to this: latency=0.5 of the dense network's or energy=2mJ at most, accuracy=0.98 of the "
    "dense network's or accuracy=90% at least; repeatable"
)
CONFIG = "config.yaml"
"""The settings of a run, in its folder."""
KEPT = "; default: the run's, on the run's own network"


@dataclass(frozen=True)
class SearchSettings(ProblemConfig):
    """How long and with what a search is made, whatever the method."""

    preset: str = option("default", "settings of the agent: default, plain (the algorithm as it comes), no-model, ...")
    setting: list[str] = field(default_factory=list, metadata=described(SETTING_HELP))
    episodes: int = option(
        300, "new plans that each method evaluates at most; fewer where it finds no more (50 known in a row)"
    )
    finalists: int = option(8, "best plans of each method that are scored again on all validation samples")
    workers: int | None = option(None, "processes that evaluate plans, each with one thread; default: 1")
    levels: int = option(11, "budgets between the ends of a range that are searched together")
    prefer: list[str] = field(default_factory=list, metadata=described(PREFER_HELP))
    on_nan: str = option("stop", "what a plan whose reward is NaN does: stop the run, or skip (it counts as the worst)")
    out: str | None = option(None, "run folder, new or empty; default: runs/ and a name made of the settings")
    resume: str | None = option(None, "run folder that was broken off: go on there, to the same result")

    def check(self) -> None:
        """Refuse settings out of range; names of methods and presets are checked where they are known."""
        super().check()
        at_least(self, 1, "episodes", "finalists", *([] if self.workers is None else ["workers"]))
        at_least(self, 2, "levels")
        if self.on_nan not in ("stop", "skip"):
            raise ConfigError(unknown_name("answer to --on-nan", self.on_nan, ("stop", "skip")))
        self.agent_settings()
        parse_preferences(self.prefer)
        if self.prefer and self.budget_range() is None:
            raise ConfigError("--prefer chooses on a front: it needs a range, such as --budget latency=0.3..0.8.")

    def check_range(self) -> None:
        """Ranges are welcome."""

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
        given = [item.name for item in dataclasses.fields(self) if getattr(self, item.name) != default_of(item)]
        allowed = ("resume", "workers", "network", "task")
        others = [f"--{name.replace('_', '-')}" for name in given if name not in allowed]
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

    agent: str = option("ddpg", "what learns: ddpg, td3, sac, tqc or ppo; or any other method of rlprune search")
    baselines: list[str] = field(
        default_factory=lambda: ["random"],
        metadata=described(
            "searcher run for comparison (uniform and filled are always there); repeatable; [] for none"
        ),
    )

    def folder(self) -> str:
        """The run folder: ``out``, or a name made of network, budgets, agent and seed."""
        return self.name_of_run(self.agent)


@dataclass(frozen=True)
class SearchConfig(SearchSettings):
    """One search, by any method."""

    method: str = option("random", METHOD_HELP)

    def as_training(self) -> TrainConfig:
        """The same as a training of that method alone."""
        if self.resume is not None:
            self.check_resume()
            return TrainConfig(resume=self.resume, workers=self.workers, network=self.network, task=self.task)
        shared = {item.name: getattr(self, item.name) for item in dataclasses.fields(SearchSettings)}
        return TrainConfig(agent=self.method, baselines=[], **shared)


@dataclass(frozen=True)
class CompareConfig:
    """Finished runs side by side."""

    runs: list[str] = field(
        default_factory=list, metadata=described("run folders, or folders that hold some", positional=True)
    )
    out: str | None = option(None, "new or empty folder for compare.md, compare.json, compare.csv and the pictures")


@dataclass(frozen=True)
class FrontConfig:
    """Fronts of finished runs, and a plan chosen on them."""

    runs: list[str] = field(
        default_factory=list, metadata=described("run folders, or folders that hold some", positional=True)
    )
    objective: list[str] = field(default_factory=list, metadata=described(OBJECTIVE_HELP))
    among: str = option(
        "measured", "plans to choose from: measured (scored at the end), or searched (all of the search)"
    )
    within: list[str] = field(default_factory=list, metadata=described(WITHIN_HELP))
    choose: str | None = option(
        None, "which of the plans within: knee, or the best in an objective; default: accuracy with --within, else knee"
    )
    prefer: list[str] = field(
        default_factory=list, metadata=described("choose by weights instead: accuracy=2, latency=1; repeatable")
    )
    out: str | None = option(None, "new or empty folder for front.md, front.json, front.csv, plan.json and pictures")


@dataclass(frozen=True)
class SweepConfig:
    """Many runs that differ in a few settings."""

    study: str = option("", "the study: a YAML file, or the name of one that ships, such as digits", positional=True)
    out: str | None = option(None, "study folder; default: studies/ and the name of the study")
    processes: int = option(1, "members that run at the same time, each in a process of its own")
    retry: bool = option(False, "run members again that failed before")
    dry_run: bool = option(False, "list the members and what is missing; nothing is run or written")
    ray: str | None = option(None, "run on Ray: the address of a cluster, or local for this machine alone")

    def check(self) -> None:
        """Refuse settings out of range."""
        at_least(self, 1, "processes")


@dataclass(frozen=True)
class DemoConfig:
    """The whole job, small."""

    episodes: int = option(100, "new plans of the agent, and of random search")
    budget: list[str] = field(default_factory=lambda: ["size=0.025"], metadata=described("hard limit; repeatable"))
    decide: list[str] = field(default_factory=lambda: ["channels", "bits"], metadata=described(DECIDE_HELP))
    seed: int = option(0, "seed of everything that is drawn at random")
    out: str | None = option(None, "run folder; default: a new one under runs/")


@dataclass(frozen=True)
class ReplayConfig:
    """A learned policy on another network; what is not given is taken from the run."""

    run: str = option("", "run folder of `rlprune train`", positional=True)
    network: str | None = option(None, "the other network; default: the run's own")
    task: str | None = option(None, "data and metric; default: what the network was trained on")
    data_dir: str | None = option(None, "folder of the task's files; default: found by itself")
    ignore: list[str] = field(default_factory=list, metadata=described(IGNORE_HELP + KEPT))
    only: list[str] = field(default_factory=list, metadata=described(ONLY_HELP + KEPT))
    outputs: list[str] = field(default_factory=list, metadata=described(OUTPUTS_HELP + KEPT))
    minimum: float | None = option(None, MINIMUM_HELP + "; default: the run's")
    rule: list[str] = field(default_factory=list, metadata=described(RULE_HELP + KEPT))
    budget: list[str] = field(default_factory=list, metadata=described("hard limit; repeatable; default: the run's"))
    device: str | None = option(
        None, "as for train; default: the run's, measured here only where a budget or the reward needs it"
    )
    samples: int | None = option(None, "validation samples of one evaluation; default: the run's")
    profile_minutes: float | None = option(None, MINUTES_HELP + ", or the run's")
    out: str | None = option(None, "new or empty folder for plan.json and result.json; default: nothing is written")

    def check(self) -> None:
        """Refuse settings out of range."""
        if self.samples is not None:
            at_least(self, 1, "samples")
        check_measuring(0.5, self.profile_minutes, flags="--profile-")
        if self.minimum is not None:
            check_minimum(self.minimum)
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
    out: str = option("pruned", "new or empty folder for the pruned network")
    device: str = option("cpu", DEVICE_HELP + "; the pruned network is timed on it")
    samples: int = option(300, "timings of each network")
    watts: float | None = option(None, "power of the device, where no meter can be read")
    no_repair: bool = option(False, "only cut, largest L1 norms stay: no least squares, BatchNorm as it was")

    def check(self) -> None:
        """Refuse settings out of range."""
        super().check()
        at_least(self, 1, "samples")
        check_watts(self.watts)

    def as_planned(self, notes: Mapping[str, Any]) -> ApplyConfig:
        """With the ``ignore``, ``only`` and ``outputs`` that a plan's notes hold, where none of them was given.

        Raises:
            ConfigError: the notes hold something else under these names.
        """
        if any(getattr(self, name) for name in CHOSEN):
            return self
        noted = {name: notes[name] for name in CHOSEN if name in notes}
        for name, patterns in noted.items():
            if not fits(patterns, "list[str]"):
                raise ConfigError(
                    f"The plan's note {name!r} must be a list of names; {patterns!r:.80} came. Give --{name}."
                )
        return dataclasses.replace(self, **noted)


@dataclass(frozen=True)
class ReportConfig:
    """A report made again from the files of a run."""

    run: str = option("", "run folder of `rlprune train`", positional=True)


@dataclass(frozen=True)
class ValidateConfig:
    """The claims of a finished run, checked again."""

    run: str = option("", "run folder of `rlprune train`", positional=True)
    network: str | None = option(None, "the run's network, where it is module:function: whose code is run, you say")
    task: str | None = option(None, "the run's task, where it is module:function")
    data_dir: str | None = option(None, "folder of the task's files; default: the run's, else found by itself")
    evaluations: int = option(20, "evaluations of the search that are repeated, drawn at random; 0 for none")
    seed: int = option(0, "seed of that draw")
    samples: int | None = option(None, "timings of each network; default: the run's")
    no_timing: bool = option(False, "latency is not measured again")
    out: str | None = option(None, "JSON file, or folder for validation.json; default: nothing is written")

    def check(self) -> None:
        """Refuse settings out of range."""
        at_least(self, 0, "evaluations", "seed")
        if self.samples is not None:
            at_least(self, 1, "samples")
