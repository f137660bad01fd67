"""The one table of metrics: how each is called, written, shown and computed. A new metric is a file and a line here."""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is not loaded to read a budget
    from rlprune.choices.space import Space
    from rlprune.costs.base import CostModel
    from rlprune.devices.profiles.profile import DeviceProfile

TIMES = {"us": 1e-3, "ms": 1.0, "s": 1e3}
ENERGIES = {"uJ": 1e-3, "mJ": 1.0, "J": 1e3}
COUNTS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True)
class Metric:
    """A cost that a budget may limit; less of it is better.

    Attributes:
        name: as ``--budget`` takes it.
        label: for people.
        unit: of its values; the name itself where it is a count.
        units: what may be written, and what each is worth in ``unit``.
        shown: unit and scale of tables and pictures, such as ("M", 1e6).
        column: the name with its unit, as tables and files have it.
        model: ``module:class`` of its :class:`~rlprune.costs.base.CostModel`.
        fields: of a row of the final table, the first of which that is known counts; a row tells a metric without any
            by its ``column``.
        phrase: what it is called in sentences, where not by its label.
        is_timed: whether only a device profile knows it.
        is_told: whether it is known of every plan; else where it has a budget, or (of what is stored) where more than
            channels is decided.
        of_stored: whether it is of what is stored of weights.
        arguments: further ones of the model.
    """

    name: str
    label: str
    unit: str
    units: Mapping[str, float]
    shown: tuple[str, float]
    column: str
    model: str
    fields: tuple[str, ...] = ()
    phrase: str = ""
    is_timed: bool = False
    is_told: bool = True
    of_stored: bool = False
    arguments: tuple[str, ...] = ()

    @property
    def is_count(self) -> bool:
        """Whether its unit is the thing itself."""
        return self.unit == self.name

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return self.phrase or self.label

    def cost(self, space: Space, profile: DeviceProfile | None) -> CostModel:
        """Its cost model for a space.

        Raises:
            ProfileError: the profile is of another network, or promises nothing of it.
        """
        profiled = [profile] if self.is_timed else []
        model: CostModel = pkgutil.resolve_name(self.model)(space, *profiled, *self.arguments)
        return model


def _tail(quantile: str, phrase: str) -> Metric:
    name = f"latency_{quantile}"
    fields = (f"{name}_measured_ms", f"{name}_promised_ms") if quantile == "p99" else ()
    return Metric(
        name, f"latency {quantile}", "ms", TIMES, ("ms", 1.0), f"{name}_ms", "rlprune.costs.latency:TailCost", fields,
        phrase, is_timed=True, is_told=False, arguments=(quantile,),
    )  # fmt: skip


METRICS = {
    metric.name: metric
    for metric in (
        Metric("macs", "MACs", "macs", COUNTS, ("M", 1e6), "macs", "rlprune.costs.macs:MacsCost", ("macs",),
               "multiply-adds (MACs)"),
        Metric("params", "parameters", "params", COUNTS, ("k", 1e3), "params", "rlprune.costs.params:ParamsCost",
               ("params",)),
        Metric("weights", "weights that remain", "weights", COUNTS, ("k", 1e3), "weights",
               "rlprune.costs.weights:WeightsCost", is_told=False, of_stored=True),
        Metric("size", "size", "B", BYTES, ("kB", 1e3), "size_bytes", "rlprune.costs.size:SizeCost", ("size_bytes",),
               "size as stored", is_told=False, of_stored=True),
        Metric("latency", "latency", "ms", TIMES, ("ms", 1.0), "latency_ms", "rlprune.costs.latency:LatencyCost",
               ("latency_measured_ms", "latency_promised_ms"), is_timed=True),
        _tail("p50", "median latency"),
        _tail("p95", "latency in 95 of 100 inferences"),
        _tail("p99", "latency in 99 of 100 inferences"),
        Metric("energy", "energy", "mJ", ENERGIES, ("mJ", 1.0), "energy_mj", "rlprune.costs.energy:EnergyCost",
               ("energy_mj",), is_timed=True),
    )
}  # fmt: skip
PROMISED = tuple(name for name, metric in METRICS.items() if metric.is_timed and metric.is_told)
"""What a device profile promises of every plan."""
COUNTED = tuple(name for name, metric in METRICS.items() if metric.is_told and not metric.is_timed)
"""What is known of every plan without a device."""


def metric_of(column: str) -> Metric:
    """The metric that tables and files have under this name."""
    return next(metric for metric in METRICS.values() if metric.column == column)


def known_costs(space: Space, profile: DeviceProfile | None, limited: Collection[str] = ()) -> dict[str, CostModel]:
    """Every cost that is known of plans: counts, with a profile latency and energy, and what else has a budget.

    Args:
        limited: metrics that have a budget.

    Example:
        >>> known_costs(Space(network), None, ["size"]).keys()
        dict_keys(['macs', 'params', 'weights', 'size'])
    """
    stored = space.layered or any(METRICS[name].of_stored for name in limited)
    wanted = [
        metric
        for metric in METRICS.values()
        if metric.is_told or metric.name in limited or (metric.of_stored and stored)
    ]
    return {metric.name: metric.cost(space, profile) for metric in wanted if profile is not None or not metric.is_timed}
