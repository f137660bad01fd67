"""The proofs notice what is wrong: each of these faults is planted into a right network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from rlprune.networks.groups import Group
from rlprune.networks.network import Network
from tests.architectures import checks, expectations, planting
from tests.architectures.catalogue import ARCHITECTURES


def faulty(name: str, change: Callable[[Group], Group]) -> Network:
    """The network of an architecture with its groups changed; costs stay those of the right groups."""
    network = copy.copy(checks.network_of(ARCHITECTURES[name]))
    network.params(network.dense_widths)
    network.groups = tuple(change(group) for group in network.groups)
    return network


def swapped(group: Group) -> Group:
    """The first two channels change places in one consumer."""
    *others, last = group.members
    order = torch.tensor([1, 0, *range(2, group.width)])
    return replace(group, members=(*others, replace(last, slots=last.slots[:, order])))


def forgetful(group: Group) -> Group:
    """One layer is not cut."""
    return replace(group, members=group.members[:-1])


def greedy(group: Group) -> Group:
    """The second channel takes the place of the first in every layer."""
    order = torch.tensor([0, 0, *range(2, group.width)])
    return replace(group, members=tuple(replace(m, slots=m.slots[:, order]) for m in group.members))


def exact(group: Group) -> Group:
    """Nothing is said of statistics."""
    return replace(group, renormalizes=())


def unsorted(group: Group) -> Group:
    return replace(group, widths=group.widths[::-1])


@pytest.mark.parametrize(
    ("name", "change", "check", "message"),
    [
        ("vgg", swapped, checks.check_permutation, "shuffled"),
        ("vgg", swapped, planting.check_dead_channels, "changes the answer"),
        ("resnet-basic", swapped, planting.check_dead_channels, "changes the answer"),
        ("vgg", forgetful, checks.check_running, "does not run"),
        ("vgg", forgetful, checks.check_training, "does not train"),
        ("vgg", forgetful, checks.check_params, "predicted"),
        ("vgg", greedy, expectations.check_groups_are_consistent, "claimed twice"),
        ("vgg", unsorted, expectations.check_groups_are_consistent, "dense width"),
        ("convnext", exact, planting.check_dead_channels, "changes the answer"),
        ("resnet-group-norm", swapped, checks.check_permutation, "shuffled"),
    ],
)
def test_wrong_groups_are_noticed(
    name: str, change: Callable[[Group], Group], check: Callable[[Network], object], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        check(faulty(name, change))


def test_wrong_costs_are_noticed() -> None:
    network = checks.network_of(ARCHITECTURES["vgg"])
    network.layers = tuple(replace(x, macs_per_pair=x.macs_per_pair * 1.01, params_per_pair=8) for x in network.layers)
    with pytest.raises(AssertionError, match="MACs"):
        checks.check_macs(network)
    with pytest.raises(AssertionError, match="parameters"):
        checks.check_params(network)


def test_stale_attributes_are_noticed() -> None:
    network = checks.network_of(ARCHITECTURES["vgg"])
    network.attributes = []
    with pytest.raises(AssertionError, match=r"out_channels says"):
        checks.check_attributes(network)


def test_unexpected_groups_are_noticed() -> None:
    network, architecture = checks.network_of(ARCHITECTURES["vgg"]), ARCHITECTURES["vgg"]
    with pytest.raises(AssertionError, match="7 groups are expected"):
        expectations.check_expectations(network, replace(architecture, groups=7))
    with pytest.raises(AssertionError, match="need not stay whole"):
        expectations.check_expectations(network, replace(architecture, whole={}))
    with pytest.raises(AssertionError, match="must stay whole because"):
        expectations.check_expectations(network, replace(architecture, whole={"classifier.5": "it is ignored"}))
    network.left_whole = {}
    with pytest.raises(AssertionError, match="nothing says why"):
        expectations.check_every_layer_is_explained(network)
