"""What a budget limits and how it is written. Use it as ``rlprune.budgets.limits.Budget``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from rlprune.costs.registry import COUNTS, METRICS
from rlprune.errors import BudgetError, unknown_name

_VALUE = re.compile(r"\s*([+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|nan|inf(?:inity)?))\s*([a-z]*)\s*", re.I)


@dataclass(frozen=True)
class Budget:
    """An upper limit on one cost.

    Attributes:
        metric: "macs", "params", "weights" (that remain), "size" (as stored), "latency", "energy", or a quantile of
            latency: "latency_p50", "_p95", "_p99".
        value: the limit, in ``unit``; or a fraction of the dense network's cost, in (0, 1].
        unit: "macs", "params", "weights", "B", "ms" or "mJ"; None for a fraction.

    Raises:
        BudgetError: unknown metric, wrong unit, a value that is not finite and positive, a fraction over 1.
    """

    metric: str
    value: float
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise BudgetError(unknown_name("budget metric", self.metric, METRICS))
        if not (np.isfinite(self.value) and self.value > 0):
            raise BudgetError(
                f"A budget must be a finite number over 0, not {self.metric}={self.value}. {_usage(self.metric)}"
            )
        if self.unit not in (None, METRICS[self.metric].unit):
            base = METRICS[self.metric].unit
            raise BudgetError(f"A {self.metric} budget is kept in {base!r}, not {self.unit!r}. {_usage(self.metric)}")
        if self.unit is None and self.value > 1:
            raise BudgetError(
                f"A budget without a unit is a fraction of the dense network, at most 1, "
                f"not {self.metric}={self.value:g}. {_usage(self.metric)}"
            )

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``metric=value[unit]``: ``latency=0.5``, ``latency=8ms``, ``macs=20M``, ``params=250000``.

        A bare number in (0, 1] is a fraction of the dense network. Units: us, ms, s; uJ, mJ, J; k, M, G for counts,
        or a whole number over 1.

        Raises:
            BudgetError: the text does not read so, or see the class.
        """
        metric, equals, given = (part.strip() for part in text.partition("="))
        if not equals:
            raise BudgetError(f"A budget reads metric=value, such as latency=0.5 or macs=20M, not {text!r}.")
        if metric not in METRICS:
            raise BudgetError(unknown_name("budget metric", metric, METRICS))
        match = _VALUE.fullmatch(given)
        if match is None:
            raise BudgetError(f"{given!r} in {text!r} is not a number with an optional unit. {_usage(metric)}")
        value, unit = float(match[1]), match[2]
        base, units = METRICS[metric].unit, METRICS[metric].units
        if unit:
            if unit not in units:
                raise BudgetError(f"{metric} has no unit {unit!r} (in {text!r}). {_usage(metric)}")
            return cls(metric, value * units[unit], base)
        if units is COUNTS and value > 1 and value.is_integer():
            return cls(metric, value, base)
        return cls(metric, value)

    def limit(self, dense_cost: float) -> float:
        """The limit in the metric's own unit; never over the dense cost, because no plan can use more."""
        return dense_cost * self.value if self.unit is None else min(self.value, dense_cost)

    def __str__(self) -> str:
        """Text that :meth:`parse` reads back."""
        counted = self.unit == self.metric
        shown = f"{self.value:.0f}" if counted and self.value.is_integer() else repr(float(self.value))
        return f"{self.metric}={shown}{'' if counted else self.unit or ''}"


@dataclass(frozen=True)
class BudgetRange:
    """Every budget on one cost from ``low`` to ``high``: ``latency=0.3..0.8``, ``macs=2M..6M``.

    Raises:
        BudgetError: the ends are on different costs or in different units, or the first is not below the second.
    """

    low: Budget
    high: Budget

    def __post_init__(self) -> None:
        if (self.low.metric, self.low.unit) != (self.high.metric, self.high.unit):
            raise BudgetError(
                f"Both ends of a range are on one cost and in one unit, not {self.low} and {self.high}. Write "
                f"{self.metric}=0.3..0.8, say."
            )
        if not self.low.value < self.high.value:
            raise BudgetError(
                f"A range of budgets goes from the smaller to the larger; {self} came. Turn its ends round."
            )

    @classmethod
    def parse(cls, text: str) -> BudgetRange:
        """Read ``metric=low..high``; a unit stands behind the second number or behind both.

        Raises:
            BudgetError: the text does not read so, or see the class.
        """
        metric, _, ends = text.partition("=")
        low, dots, high = (part.strip() for part in ends.partition(RANGE))
        if not (dots and low and high):
            raise BudgetError(f"A range of budgets reads metric=low..high, such as latency=0.3..0.8, not {text!r}.")
        upper = Budget.parse(f"{metric}={high}")
        unit = high.lstrip("+-.0123456789e") if low[-1].isdigit() or low[-1] == "." else ""
        return cls(Budget.parse(f"{metric}={low}{unit}"), upper)

    @property
    def metric(self) -> str:
        """What is limited."""
        return self.low.metric

    def budgets(self, count: int) -> list[Budget]:
        """``count`` budgets at equal distances, from low to high, both among them."""
        values = np.linspace(self.low.value, self.high.value, count).round(6 if self.low.unit is None else 12)
        return [Budget(self.metric, float(value), self.low.unit) for value in values]

    def __str__(self) -> str:
        """Text that :meth:`parse` reads back."""
        return f"{self.low}{RANGE}{str(self.high).partition('=')[2]}"


RANGE = ".."


def cost_name(metric: str) -> str:
    """The metric with its unit, as tables and files name it: ``latency_p99_ms``, ``size_bytes``, ``macs``."""
    return METRICS[metric].column


def format_cost(metric: str, value: float, digits: int = 3, like: float | None = None) -> str:
    """A cost for people: ``61.3 M``, ``8.2 ms``, ``0.587 us``; times and energies with so many digits.

    Args:
        like: the cost whose unit is taken, of times and energies; the value's own without one.
    """
    unit, worth = METRICS[metric].unit, METRICS[metric].units
    if unit != metric and unit != "B":
        like = value if like is None else like
        small, base, large = worth.items()  # such as us, ms, s
        shown, scale = small if 0 < like < base[1] / 1e3 else large if like >= 10 * large[1] else base
        return f"{plain(value / scale, digits)} {shown}"
    scale, prefix = next(((s, p) for s, p in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if value >= s), (1.0, ""))
    count = f"{value / scale:.{digits - 2}f}{prefix}" if prefix or unit == "B" else plain(value, digits)
    return count if unit != "B" else f"{count}B" if prefix else f"{count} B"


def plain(value: float, digits: int) -> str:
    """A number in so many digits, without an exponent."""
    return np.format_float_positional(
        round(value) if abs(value) >= 10**digits else float(f"{value:.{digits}g}"), trim="-"
    )


def beside(metric: str, one: float, other: float, like: float | None = None) -> tuple[str, str]:
    """Two costs for people, in enough digits to tell them apart; ``like`` is that of :func:`format_cost`."""
    for digits in range(3, 12):
        pair = format_cost(metric, one, digits, like), format_cost(metric, other, digits, like)
        if pair[0] != pair[1]:
            break
    return pair


def impossible(budget: Budget, needed: float, dense: float, more: str = "") -> BudgetError:
    """For a budget that the smallest plan does not meet: what it needs, and which budgets can be met.

    Args:
        needed: cost of the smallest plan.
        dense: cost of the dense network.
        more: what else is to be said of the smallest plan.
    """
    if needed >= dense * (1 - 1e-12):
        return BudgetError(
            f"Budget {budget} cannot be met: nothing that is decided changes this cost, which is "
            f"{format_cost(budget.metric, needed)}. Decide something else, or limit another cost."
        )
    like = 1.0 if budget.unit else budget.limit(dense)  # one unit in the sentence, that of the budget where it has one
    allowed, shown = beside(budget.metric, budget.limit(dense), needed, like)
    return BudgetError(
        f"Budget {budget} cannot be met: it allows {allowed}, and the smallest plan needs {shown}{more}, "
        f"{needed / dense:.1%} of the dense network's {format_cost(budget.metric, dense, like=like)}. Ask for "
        f"{_reachable(budget, needed, dense)} or more."
    )


def _reachable(budget: Budget, needed: float, dense: float) -> str:
    """The smallest budget of three digits that can be met, written as the one that came."""
    value, unit = (needed / dense, "") if budget.unit is None else (needed, budget.unit)
    scale, prefix = 1.0, unit
    if unit == budget.metric:
        prefix, scale = next(((p, s) for p, s in (("G", 1e9), ("M", 1e6), ("k", 1e3)) if value >= s), ("", 1.0))
    step = 10.0 ** (math.floor(math.log10(value / scale)) - 2)
    return f"{budget.metric}={plain(math.ceil(value / scale / step - 1e-9) * step, 3)}{prefix}"


def _usage(metric: str) -> str:
    base, units = METRICS[metric].unit, METRICS[metric].units
    example = f"{metric}=20M" if units is COUNTS else f"{metric}=8{base}"
    return f"Write {metric}=0.5 for half the dense network, or {example} (units: {', '.join(units)})."
