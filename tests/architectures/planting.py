"""Dead channels, planted into the dense network: pruning exactly them must change nothing.

A channel is dead where everything that produces or carries it is zero, so that it is zero wherever it is read. Where
something on the way is not zero at zero (sigmoid, softplus), it is dead where all that reads it has zero weights.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from rlprune.networks import surgery
from rlprune.networks.groups import Group
from rlprune.networks.layers import Side
from rlprune.networks.network import Network
from rlprune.networks.tensors import named_tensors
from tests.architectures.checks import EXACT, answer, difference, halves, in_float64

ALIVE_AT_ZERO = ("running_var", "num_batches_tracked")


@dataclass
class Planted:
    """Groups by how their dead channels were shown to be removable.

    Attributes:
        zeroed: zero wherever they are read.
        unread: what reads them has zero weights.
        renormalized: a statistic over them changes, so nothing is claimed.
    """

    zeroed: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    renormalized: list[str] = field(default_factory=list)


def silenced(network: Network, groups: Sequence[Group], side: Side, model: nn.Module | None = None) -> nn.Module:
    """A copy of the dense model with zeros where one side of layers holds the second half of each group's channels."""
    model = copy.deepcopy(network.model if model is None else model)
    state = {key: tensor.data for key, tensor in named_tensors(model)}
    tensors = {layer.name: layer.tensors for layer in network.layers}
    for group in groups:
        dead = halves(group)[1]
        for member in (member for member in group.members if member.side == side):
            for key, sides in tensors[member.layer].items():
                if not key.endswith(ALIVE_AT_ZERO):
                    for dim in (dim for dim, held in enumerate(sides) if held == side):
                        state[key].index_fill_(dim, member.slots[:, dead].flatten(), 0)
    return model


def check_dead_channels(network: Network) -> Planted:
    """Every group alone, and all that can be together; in each case the others are kept."""
    exact, planted = in_float64(network), Planted()
    for group in exact.groups:
        if group.renormalizes:
            planted.renormalized.append(group.name)
        else:
            zero = silenced(exact, [group], "out")
            wanted, unread = answer(zero, exact), answer(silenced(exact, [group], "in", zero), exact)
            if difference(unread, wanted) <= EXACT:  # nothing is left to read
                planted.zeroed.append(group.name)
            else:
                planted.unread.append(group.name)
                zero = silenced(exact, [group], "in")
            _check(exact, zero, [group])
    zeroed = [group for group in network.groups if group.name in planted.zeroed]
    if len(zeroed) > 1:
        model = silenced(network, zeroed, "out")
        again = Network(model, network.example_inputs, multiple=1)
        names = ", ".join(planted.zeroed)
        assert again.fingerprint == network.fingerprint, f"with zeros in {names} other groups are found"
        _check(in_float64(again), model.double(), zeroed)
    return planted


def _check(network: Network, model: nn.Module, groups: Sequence[Group]) -> None:
    """Pruning the dead channels that were planted into ``model`` changes nothing."""
    planted = network.with_model(model)
    names = ", ".join(group.name for group in groups)
    pruned = surgery.prune(planted, {group.name: halves(group)[0] for group in groups}).eval()
    error = difference(answer(pruned, planted, f"half of {names}"), answer(model, planted))
    assert error <= EXACT, f"pruning dead channels of {names} changes the answer by {error:.1e} of its largest"
