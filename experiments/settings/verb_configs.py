"""The settings of the verbs that look at networks, measure devices and search."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlprune.errors import ConfigError
from rlprune.experiments.settings.options import (
    OUTPUT,
    PROFILING,
    SEARCH,
    SETTINGS,
    TARGET,
    Settings,
    at_least,
    check_known,
    check_positive,
    flag_of,
    like,
    option,
)
from rlprune.experiments.settings.parsing import key_values, parse_preferences, parse_shape
from rlprune.experiments.settings.problem import (
    DEVICE_HELP,
    LONG_ENOUGH,
    DecideConfig,
    ProblemConfig,
    WidthsConfig,
)

if TYPE_CHECKING:
    from rlprune.devices.profiling.measuring import Effort

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

    def effort(self) -> Effort:
        """How much is measured."""
        from rlprune.devices.profiling.measuring import Effort

        return Effort(
            plans=self.plans,
            checks=self.checks,
            samples=self.samples,
            bound=self.bound,
            limit_s=self.limit_s,
            window_s=self.window,
            seed=self.seed,
        )

    def check(self) -> None:
        """Refuse settings out of range."""
        super().check()
        if self.extend and self.any_network:
            raise ConfigError("--extend is for the profile of one network; it cannot go with --any-network.")


@dataclass(frozen=True)
class SearchSettings(ProblemConfig):
    """How long and with what a search is made, whatever the method."""

    preset: str = option(
        "default", "settings of the agent: default, plain (the algorithm as it comes), no-refinement, ...", SEARCH
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
        "random, evolutionary, tpe, nsga2, greedy, sensitivity, prior, probe-shrunk, surrogate, threshold, or an agent "
        "(ddpg, td3, sac, tqc, ppo)",
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
