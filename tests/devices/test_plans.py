"""Which plans are measured."""

from __future__ import annotations

import numpy as np

from rlprune.devices.profiling.plans import at_levels, choose_plans
from rlprune.networks.network import Network


def test_plans_are_different_allowed_and_start_dense(depthwise_network: Network) -> None:
    plans = choose_plans(depthwise_network, 50, seed=0)
    assert len(np.unique(plans, axis=0)) == 50
    assert (plans[0] == depthwise_network.dense_widths).all()
    assert [group.widths[0] for group in depthwise_network.groups] in plans.tolist()
    for column, group in zip(plans.T, depthwise_network.groups, strict=True):
        assert set(column) <= set(group.widths)


def test_plans_depend_on_the_seed_only(depthwise_network: Network) -> None:
    assert (choose_plans(depthwise_network, 30, 1) == choose_plans(depthwise_network, 30, 1)).all()
    assert (choose_plans(depthwise_network, 30, 1) != choose_plans(depthwise_network, 30, 2)).any()


def test_plans_cover_the_range_of_costs(depthwise_network: Network) -> None:
    shares = depthwise_network.macs(choose_plans(depthwise_network, 60, 0))
    shares = shares / shares[0]
    assert (np.histogram(shares, bins=4, range=(0, 1))[0] >= 5).all()


def test_a_network_with_few_plans_gives_all_of_them(residual_network: Network) -> None:
    total = int(np.prod([len(group.widths) for group in residual_network.groups]))
    assert len(choose_plans(residual_network, 10_000, 0)) == total


def test_levels_are_the_nearest_widths(residual_network: Network) -> None:
    assert list(at_levels(residual_network, np.zeros(2))) == [g.widths[0] for g in residual_network.groups]
    assert list(at_levels(residual_network, np.ones(2))) == list(residual_network.dense_widths)
