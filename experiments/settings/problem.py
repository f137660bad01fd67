"""What several verbs take: which network is pruned, what may be decided about it, and what counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlprune.budgets.limits import RANGE, Budget, BudgetRange
from rlprune.choices.choice import BITS, DENSITIES
from rlprune.errors import ConfigError
from rlprune.experiments.settings.options import (
    PROFILING,
    RULES,
    SEARCH,
    TARGET,
    Settings,
    at_least,
    check_keep_ratio,
    check_positive,
    check_seed,
    check_share,
    option,
)
from rlprune.experiments.settings.parsing import MOST_MULTIPLE, WidthRules, parse_numbers, parse_width_rules

if TYPE_CHECKING:
    from rlprune.choices.scope import Scope
    from rlprune.devices.profiling.measuring import Effort

DEVICE_HELP = "cpu, cuda, with a runtime if you like (cpu:openvino; see rlprune devices)"
LONG_ENOUGH = "three times the timings asked for at most"
CHOSEN = ("ignore", "only", "outputs")
"""Settings that say, by names in the network, what of it is pruned."""


@dataclass(frozen=True)
class NetworkConfig(Settings):
    """Which network is pruned, on which data."""

    network: str = option(
        "digits-resnet",
        "a network of the zoo, module:function that returns one, hf:CONFIG, torchvision:NAME or timm:NAME",
        TARGET,
        first=True,
    )
    task: str | None = option(
        None,
        "data and metric: a task's name, or module:function",
        TARGET,
        otherwise="what the network was trained on",
        first=True,
    )
    data_dir: str | None = option(None, "folder of the task's files", TARGET, otherwise="found by itself")
    ignore: list[str] = option([], "layer whose channels stay whole, or a pattern such as head*", RULES, first=True)
    only: list[str] = option(
        [], "only groups that start in this layer, or in layers of this pattern, are pruned", RULES
    )
    outputs: list[str] = option(
        [], "output whose channels stay, such as logits or 0, or a pattern", RULES, otherwise="all outputs"
    )
    seed: int = option(0, "seed of everything that is drawn at random", SEARCH, first=True, check=check_seed)
    threads: int = option(
        1, "threads of torch, and of the runtime that is measured", PROFILING, check=at_least(1, 1024)
    )

    def network_notes(self) -> dict[str, Any]:
        """What a plan notes about its network, for readers and for :meth:`ApplyConfig.as_planned`."""
        return {"network": self.network, **{name: getattr(self, name) for name in CHOSEN}}

    def width_rules(self, multiple: int) -> WidthRules:
        """Which widths are allowed: every multiple of ``multiple``."""
        return parse_width_rules([], multiple, 0.0)

    def decisions(self) -> Scope | None:
        """What may be decided; channels where nothing is said."""
        return None


@dataclass(frozen=True)
class WidthsConfig(NetworkConfig):
    """Which widths the groups of the network may have."""

    multiple: int = option(
        8, "widths are multiples of this (finer where a layer is narrow)", RULES, check=at_least(1, MOST_MULTIPLE)
    )
    minimum: float = option(0.0, "smallest keep ratio of every group", RULES, check=check_keep_ratio)
    rule: list[str] = option([], "widths of some layers, such as 'layer3.*: multiple=16 minimum=0.5'", RULES)

    def check(self) -> None:
        """Refuse settings out of range, and rules that do not read as one."""
        super().check()
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

    decide: list[str] = option(
        ["channels"],
        "what is decided: channels, weights, depth, bits, or several with commas between",
        RULES,
        first=True,
    )
    density: str | None = option(
        None, "percents of a weight's entries that may remain, such as 10,20,50", RULES, otherwise="17 of them, from 2"
    )
    pattern: str | None = option(None, "of every M consecutive inputs of a weight N remain, as N:M, such as 2:4", RULES)
    removed: str = option(
        "zero", "what removed entries of a weight become: zero, or mean (of all that a layer lost)", RULES
    )
    bits: str | None = option(
        None, "bits that an entry of a weight may have, of 4, 8, 16, 32", RULES, otherwise="4,8,32"
    )
    exclude: list[str] = option(
        [], "kind:pattern, such as bits:head*: these layers or blocks stay as they are in that kind", RULES
    )

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

    def decisions(self) -> Scope:
        """What may be decided.

        Raises:
            ConfigError: see :class:`rlprune.choices.scope.Scope`.
        """
        from rlprune.choices.scope import Scope
        from rlprune.pruning.weights import WeightRule

        kinds: list[Any] = [kind.strip() for text in self.decide for kind in text.split(",") if kind.strip()]
        removed: Any = self.removed
        rule = WeightRule(self.pattern, removed)
        densities = parse_numbers("--density", self.density, DENSITIES)
        return Scope(tuple(kinds), densities, rule, parse_numbers("--bits", self.bits, BITS), tuple(self.exclude))


@dataclass(frozen=True)
class ProblemConfig(DecideConfig):
    """What counts: device, budgets and reward."""

    device: str = option("cpu", DEVICE_HELP + ", or a profile: PROFILE.json, or ready:NAME", TARGET, first=True)
    budget: list[str] = option(
        ["latency=0.5"],
        "hard limit: a fraction of the dense network (latency=0.5), or a value (macs=20M)",
        TARGET,
        first=True,
    )
    reward: str = option(
        "agreement", "what is maximised inside the budget: agreement, accuracy, amc, amc-cost or weighted", SEARCH
    )
    samples: int = option(512, "validation samples of one evaluation", SEARCH, check=at_least(1))
    watts: float | None = option(
        None, "power of the device, where no meter can be read", PROFILING, check=check_positive
    )
    profile_plans: int = option(64, "plans that are measured for a new profile", PROFILING, check=at_least(1))
    profile_checks: int = option(16, "further plans on which a new profile is checked", PROFILING, check=at_least(1))
    profile_samples: int = option(
        300, "timings of each plan in a new profile, and in the final measurement", PROFILING, check=at_least(1)
    )
    profile_bound: float = option(
        0.03, "measuring goes on until two halves of it agree to this (0.03 is 3%)", PROFILING, check=check_share
    )
    profile_minutes: float | None = option(
        None, "time limit of measuring", PROFILING, otherwise=LONG_ENOUGH, first=True, check=check_positive
    )

    @property
    def profile_limit_s(self) -> float | None:
        """The time limit of measuring, where there is one."""
        return None if self.profile_minutes is None else 60 * self.profile_minutes

    def effort(self) -> Effort:
        """How much a new profile measures."""
        from rlprune.devices.profiling.measuring import Effort

        return Effort(
            plans=self.profile_plans,
            checks=self.profile_checks,
            samples=self.profile_samples,
            bound=self.profile_bound,
            limit_s=self.profile_limit_s,
            seed=self.seed,
        )

    def check(self) -> None:
        """Refuse settings out of range, and budgets or rewards that do not exist."""
        from rlprune.evaluation.rewards import reward_function

        super().check()
        self.budgets()
        reward_function(self.reward)

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
