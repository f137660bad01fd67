"""Settings of every verb, typed. YAML is read by the command line only; here nothing is imported that takes time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rlprune.errors import ConfigError, unknown_name
from rlprune.experiments.options import at_least, check_measuring, check_watts, described, fits, option, parse_shape
from rlprune.experiments.width_rules import WidthRules, check_minimum, check_multiple, parse_width_rules
from rlprune.limits import Budget

T = TypeVar("T")

BUDGET_HELP = "hard limit: a fraction of the dense network (latency=0.5), or a value (macs=20M); repeatable"
BOUND_HELP = "measuring goes on until two halves of it agree to this (0.03 is 3%)"
MINUTES_HELP = "time limit of measuring; default: three times the timings asked for at most"
SEEDS = 2**32  # NumPy and SB3 take no larger seed
IGNORE_HELP = "layer whose channels stay whole, or a pattern such as head*; repeatable"
ONLY_HELP = "only groups that start in this layer, or in layers of this pattern, are pruned; repeatable"
MINIMUM_HELP = "smallest keep ratio of every group"
RULE_HELP = "widths of some layers, such as 'layer3.*: multiple=16 minimum=0.5'; repeatable"
DEVICE_HELP = "cpu, cuda, with a runtime if you like (cpu:openvino; see rlprune devices)"
KEPT = "; default: the run's, on the run's own network"


@dataclass(frozen=True)
class NetworkConfig:
    """Which network is pruned, on which data."""

    network: str = option(
        "digits-resnet",
        "a network of the zoo, module:function that returns one, hf:CONFIG, torchvision:NAME or timm:NAME",
    )
    task: str | None = option(
        None, "data and metric: a task's name, or module:function; default: what the network was trained on"
    )
    data_dir: str | None = option(None, "folder of the task's files; default: found by itself")
    ignore: list[str] = field(default_factory=list, metadata=described(IGNORE_HELP))
    only: list[str] = field(default_factory=list, metadata=described(ONLY_HELP))
    seed: int = option(0, "seed of everything that is drawn at random")
    threads: int = option(1, "threads of torch, and of the runtime that is measured")

    def check(self) -> None:
        """Refuse settings out of range.

        Raises:
            ConfigError: it names the setting.
        """
        at_least(self, 1, "threads")
        at_least(self, 0, "seed")
        if self.seed >= SEEDS:
            raise ConfigError(f"--seed must be below 2**32; {self.seed} came.")

    def network_notes(self) -> dict[str, Any]:
        """What a plan notes about its network, for readers and for :meth:`ApplyConfig.as_planned`."""
        return {"network": self.network, "ignore": self.ignore, "only": self.only}

    def width_rules(self, multiple: int) -> WidthRules:
        """Which widths are allowed: every multiple of ``multiple``."""
        return parse_width_rules([], multiple, 0.0)


@dataclass(frozen=True)
class WidthsConfig(NetworkConfig):
    """Which widths the groups of the network may have."""

    multiple: int = option(8, "widths are multiples of this (finer where a layer is narrow)")
    minimum: float = option(0.0, MINIMUM_HELP)
    rule: list[str] = field(default_factory=list, metadata=described(RULE_HELP))

    def check(self) -> None:
        """Refuse settings out of range, and rules that do not read as one."""
        super().check()
        check_multiple(self.multiple)
        check_minimum(self.minimum)
        self.width_rules(self.multiple)

    def width_rules(self, multiple: int) -> WidthRules:
        """Which widths are allowed; ``multiple`` holds where no rule says otherwise.

        Raises:
            ConfigError: see :func:`parse_width_rules`.
        """
        return parse_width_rules(self.rule, multiple, self.minimum)


@dataclass(frozen=True)
class InspectConfig(WidthsConfig):
    """What is told about a network."""

    input_shape: str | None = option(
        None, "shape of a single input tensor, such as 1,3,224,224; default: what the network or its task gives"
    )
    out: str | None = option(None, "JSON file for the same; default: nothing is written")

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
class ProblemConfig(WidthsConfig):
    """What counts: device, budgets and reward."""

    device: str = option("cpu", DEVICE_HELP + ", or a profile: PROFILE.json, or ready:NAME")
    budget: list[str] = field(default_factory=lambda: ["latency=0.5"], metadata=described(BUDGET_HELP))
    reward: str = option(
        "agreement", "what is maximised inside the budget: agreement, accuracy, amc, amc-cost or weighted"
    )
    samples: int = option(512, "validation images of one evaluation")
    watts: float | None = option(None, "power of the device, where no meter can be read")
    profile_plans: int = option(64, "plans that are measured for a new profile")
    profile_checks: int = option(16, "further plans on which a new profile is checked")
    profile_samples: int = option(300, "timings of each plan in a new profile, and in the final measurement")
    profile_bound: float = option(0.03, BOUND_HELP)
    profile_minutes: float | None = option(None, MINUTES_HELP)

    def check(self) -> None:
        """Refuse settings out of range, and budgets or rewards that do not exist."""
        from rlprune.rewards import reward_function

        super().check()
        at_least(self, 1, "samples", "profile_plans", "profile_checks", "profile_samples")
        check_measuring(self.profile_bound, self.profile_minutes)
        check_watts(self.watts)
        self.budgets()
        reward_function(self.reward)

    def budgets(self) -> list[Budget]:
        """The budgets, parsed.

        Raises:
            BudgetError: one that does not read as metric=value, or is out of range.
            ConfigError: there is none.
        """
        if not self.budget:
            raise ConfigError("A search needs a budget; none came. Use --budget latency=0.5, say.")
        return [Budget.parse(text) for text in self.budget]


@dataclass(frozen=True)
class TrainConfig(ProblemConfig):
    """One training run."""

    agent: str = option("ddpg", "what learns: ddpg or ppo; or another searcher: random, tpe, evolutionary")
    episodes: int = option(300, "episodes of the agent and of each baseline; one costs at most one evaluation")
    baselines: list[str] = field(
        default_factory=lambda: ["random"],
        metadata=described("searcher run for comparison (uniform is always there); repeatable; [] for none"),
    )
    finalists: int = option(8, "best plans of each method that are scored again on all validation images")
    out: str | None = option(None, "run folder, new or empty; default: runs/ and a name made of the settings")

    def check(self) -> None:
        """Refuse settings out of range; the agent's and the baselines' names are checked where they are known."""
        super().check()
        at_least(self, 1, "episodes", "finalists")

    def folder(self) -> str:
        """The run folder: ``out``, or a name made of network, budgets, agent and seed."""
        parts = [self.network.replace(":", "."), *(text.replace("=", "") for text in self.budget), self.agent]
        return self.out or f"runs/{'-'.join(parts)}-seed{self.seed}"


@dataclass(frozen=True)
class DemoConfig:
    """The whole job, small."""

    episodes: int = option(150, "episodes of the agent and of random search")
    budget: list[str] = field(default_factory=lambda: ["latency=0.5"], metadata=described("hard limit; repeatable"))
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
    minimum: float | None = option(None, MINIMUM_HELP + "; default: the run's")
    rule: list[str] = field(default_factory=list, metadata=described(RULE_HELP + KEPT))
    budget: list[str] = field(default_factory=list, metadata=described("hard limit; repeatable; default: the run's"))
    device: str | None = option(None, "as for train; default: the run's profile where it fits, else measured now")
    samples: int | None = option(None, "validation images of one evaluation; default: the run's")
    out: str | None = option(None, "new or empty folder for plan.json and result.json; default: nothing is written")

    def check(self) -> None:
        """Refuse settings out of range."""
        if self.samples is not None:
            at_least(self, 1, "samples")
        if self.minimum is not None:
            check_minimum(self.minimum)
        parse_width_rules(self.rule, 1, 0.0)

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
            minimum=run.minimum if self.minimum is None else self.minimum,
            rule=self.rule or ([] if other else run.rule),
            budget=self.budget or run.budget,
            samples=self.samples or run.samples,
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
        """With the ``ignore`` and ``only`` that a plan's notes hold, where neither was given.

        Raises:
            ConfigError: the notes hold something else under these names.
        """
        if self.ignore or self.only:
            return self
        noted = {name: notes[name] for name in ("ignore", "only") if name in notes}
        for name, patterns in noted.items():
            if not fits(patterns, "list[str]"):
                raise ConfigError(f"The plan's note {name!r} must be a list of layer names; {patterns!r} came.")
        return dataclasses.replace(self, **noted)


@dataclass(frozen=True)
class ReportConfig:
    """A report made again from the files of a run."""

    run: str = option("", "run folder of `rlprune train`", positional=True)


def check_known(kind: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse names that are not known; the nearest is offered.

    Raises:
        ConfigError: see above.
    """
    for name in names:
        if name not in known:
            raise ConfigError(unknown_name(kind, name, known))


def as_dict(config: Any) -> dict[str, Any]:
    """The settings as plain values, in the order of the class."""
    return dataclasses.asdict(config)


def from_dict(kind: type[T], values: dict[str, Any]) -> T:
    """Settings from plain values, such as those of a run folder's ``config.yaml``.

    Raises:
        ConfigError: a name that is no setting, or a value of the wrong kind.
    """
    known = {item.name: str(item.type) for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise ConfigError(unknown_name("setting", name, known))
        if not fits(value, known[name]):
            raise ConfigError(f"Setting {name!r} must be {known[name]}; {value!r} came.")
    return kind(**values)
