from __future__ import annotations

import dataclasses

import numpy as np

from rlprune.budgets.limits import Budget
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs.registry import METRICS, known_costs
from rlprune.networks.network import Network
from rlprune.zoo import load_zoo, zoo_entry


def test_every_metric_that_needs_no_profile_is_known_of_a_space() -> None:
    network = Network(load_zoo("digits-resnet"), zoo_entry("digits-resnet").example_inputs())
    space = Space(network)
    assert list(known_costs(space, None)) == ["macs", "params"]
    assert list(known_costs(space, None, ["size"])) == ["macs", "params", "weights", "size"]
    costs = known_costs(Space(network, Decisions(("channels", "bits"))), None)
    assert list(costs) == ["macs", "params", "weights", "size"]
    for name, cost in known_costs(space, None, ["size"]).items():
        assert (cost.metric, cost.unit) == (name, METRICS[name].unit)
        assert cost(space.full[None]) > 0


def test_a_metric_is_written_with_each_of_its_units() -> None:
    for metric in METRICS.values():
        for unit, worth in metric.units.items():
            assert np.isclose(Budget.parse(f"{metric.name}=3{unit}").value, 3 * worth)


def test_rows_of_the_final_table_have_the_fields_that_metrics_name() -> None:
    from rlprune.experiments.runs.rows import Row

    fields = {field.name for field in dataclasses.fields(Row)}
    assert {name for metric in METRICS.values() for name in metric.fields} <= fields
