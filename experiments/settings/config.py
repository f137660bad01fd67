"""Settings of every verb, typed. YAML is read by the command line only; here nothing is imported that takes time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rlprune.budgets.limits import RANGE, Budget, BudgetRange
from rlprune.choices.choice import BITS, DENSITIES
from rlprune.errors import ConfigError, unknown_name
from rlprune.experiments.settings.options import (
    at_least,
    check_measuring,
    check_watts,
    described,
    fits,
    in_words,
    option,
    parse_numbers,
    parse_shape,
)
from rlprune.experiments.settings.width_rules import WidthRules, check_minimum, check_multiple, parse_width_rules

if TYPE_CHECKING:
    from rlprune.choices.scope import Decisions

T = TypeVar("T")

BUDGET_HELP = "hard limit: a fraction of the dense network (latency=0.5), or a value (macs=20M); repeatable"
BOUND_HELP = "measuring goes on until two halves of it agree to this (0.03 is 3%)"
MINUTES_HELP = "time limit of measuring; default: three times the timings asked for at most"
SEEDS = 2**32  # NumPy and SB3 take no larger seed
IGNORE_HELP = "layer whose channels stay whole, or a pattern such as head*; repeatable"
OUTPUTS_HELP = "output whose channels stay, such as logits or 0, or a pattern; repeatable; default: all outputs"

ONLY_HELP = "only groups that start in this layer, or in layers of this pattern, are pruned; repeatable"
MINIMUM_HELP = "smallest keep ratio of every group"
RULE_HELP = "widths of some layers, such as 'layer3.*: multiple=16 minimum=0.5'; repeatable"
DEVICE_HELP = "cpu, cuda, with a runtime if you like (cpu:openvino; see rlprune devices)"


DECIDE_HELP = "what is decided: channels, weights, depth, bits, or several with commas between"
DENSITY_HELP = "percents of a weight's entries that may remain, such as 10,20,50; default: 17 of them, from 2"
BITS_HELP = "bits that an entry of a weight may have, of 4, 8, 16, 32; default: 4,8,32"
EXCLUDE_HELP = "kind:pattern, such as bits:head*: these layers or blocks stay as they are in that kind; repeatable"
CHOSEN = ("ignore", "only", "outputs")
"""Settings that say, by names in the network, what of it is pruned."""


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
    outputs: list[str] = field(default_factory=list, metadata=described(OUTPUTS_HELP))
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
        return {"network": self.network, **{name: getattr(self, name) for name in CHOSEN}}

    def width_rules(self, multiple: int) -> WidthRules:
        """Which widths are allowed: every multiple of ``multiple``."""
        return parse_width_rules([], multiple, 0.0)

    def decisions(self) -> Decisions | None:
        """What may be decided; channels where nothing is said."""
        return None


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
class DecideConfig(WidthsConfig):
    """What may be decided about the network."""

    decide: list[str] = field(default_factory=lambda: ["channels"], metadata=described(DECIDE_HELP))
    density: str | None = option(None, DENSITY_HELP)
    pattern: str | None = option(None, "of every M consecutive inputs of a weight N remain, as N:M, such as 2:4")
    removed: str = option("zero", "what removed entries of a weight become: zero, or mean (of all that a layer lost)")
    bits: str | None = option(None, BITS_HELP)
    exclude: list[str] = field(default_factory=list, metadata=described(EXCLUDE_HELP))

    def check(self) -> None:
        """Refuse settings out of range, kinds of decisions that do not exist, and settings of kinds not decided."""
        super().check()
        kinds = self.decisions().kinds
        settings = (
            ("--density", "weights", self.density is not None),
            ("--pattern", "weights", self.pattern is not None),
            ("--removed", "weights", self.removed != "zero"),
            ("--bits", "bits", self.bits is not None),
        )
        for flag, kind, is_set in settings:
            if is_set and kind not in kinds:
                raise ConfigError(
                    f"{flag} needs {kind} among what is decided; --decide has {', '.join(kinds)}. Add it, or leave "
                    f"{flag} out."
                )

    def decisions(self) -> Decisions:
        """What may be decided.

        Raises:
            ConfigError: see :class:`rlprune.choices.scope.Decisions`.
        """
        from rlprune.choices.scope import Decisions
        from rlprune.pruning.weights import WeightRule

        kinds: list[Any] = [kind.strip() for text in self.decide for kind in text.split(",") if kind.strip()]
        removed: Any = self.removed
        rule = WeightRule(self.pattern, removed)
        densities = parse_numbers("--density", self.density, DENSITIES)
        return Decisions(tuple(kinds), densities, rule, parse_numbers("--bits", self.bits, BITS), tuple(self.exclude))


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
class ProblemConfig(DecideConfig):
    """What counts: device, budgets and reward."""

    device: str = option("cpu", DEVICE_HELP + ", or a profile: PROFILE.json, or ready:NAME")
    budget: list[str] = field(default_factory=lambda: ["latency=0.5"], metadata=described(BUDGET_HELP))
    reward: str = option(
        "agreement", "what is maximised inside the budget: agreement, accuracy, amc, amc-cost or weighted"
    )
    samples: int = option(512, "validation samples of one evaluation")
    watts: float | None = option(None, "power of the device, where no meter can be read")
    profile_plans: int = option(64, "plans that are measured for a new profile")
    profile_checks: int = option(16, "further plans on which a new profile is checked")
    profile_samples: int = option(300, "timings of each plan in a new profile, and in the final measurement")
    profile_bound: float = option(0.03, BOUND_HELP)
    profile_minutes: float | None = option(None, MINUTES_HELP)

    def check(self) -> None:
        """Refuse settings out of range, and budgets or rewards that do not exist."""
        from rlprune.evaluation.rewards import reward_function

        super().check()
        at_least(self, 1, "samples", "profile_plans", "profile_checks", "profile_samples")
        check_measuring(self.profile_bound, self.profile_minutes, flags="--profile-")
        check_watts(self.watts)
        self.budgets()
        reward_function(self.reward)
        if self.budget_range() is not None:
            self.check_range()

    def check_range(self) -> None:
        """Refuse a range of budgets, where the job takes single ones.

        Raises:
            ConfigError: always, but for jobs that take ranges.
        """
        raise ConfigError(f"This verb takes single budgets, not {self.budget_range()}. Use --budget latency=0.5, say.")

    def budgets(self) -> list[Budget]:
        """The budgets, parsed; of a range, the upper end. The range comes first.

        Raises:
            BudgetError: one that does not read as metric=value, or is out of range.
            ConfigError: there is none.
        """
        if not self.budget:
            raise ConfigError("A search needs a budget; none came. Use --budget latency=0.5, say.")
        wide = self.budget_range()
        single = [Budget.parse(text) for text in self.budget if RANGE not in text]
        return single if wide is None else [wide.high, *single]

    def lowest_budgets(self) -> list[Budget]:
        """The same with the lower end of a range: where these can be met, all can. Raises as :meth:`budgets`."""
        wide = self.budget_range()
        return self.budgets() if wide is None else [wide.low, *self.budgets()[1:]]

    def budget_range(self) -> BudgetRange | None:
        """The range among the budgets, if there is one.

        Raises:
            BudgetError: it does not read as one.
            ConfigError: there are several.
        """
        ranges = [BudgetRange.parse(text) for text in self.budget if RANGE in text]
        if len(ranges) > 1:
            came = " and ".join(map(str, ranges))
            raise ConfigError(f"One budget may be a range; {came} came. Give single values for the others.")
        return ranges[0] if ranges else None


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


def from_dict(kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """Settings from plain values, such as those of a run folder's ``config.yaml``.

    Raises:
        ConfigError: see :func:`check_values`.
    """
    check_values(kind, values, where)
    return kind(**values)


def check_values(kind: type[Any], values: dict[str, Any], where: str = "") -> None:
    """Refuse values that are not of their kind.

    Args:
        where: what the message begins with, such as the name of the file they stand in.

    Raises:
        ConfigError: a name that is no setting, or a value of the wrong kind.
    """
    known = {item.name: str(item.type) for item in dataclasses.fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(where + unknown_name("setting", name, known))
        if not fits(value, known[name]):
            raise ConfigError(f"{where}Setting {name!r} must be {in_words(known[name])}; {value!r:.80} came.")
