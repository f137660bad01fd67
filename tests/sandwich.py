"""One operation between two layers, and the proofs that its channels were followed rightly."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from rlprune.networks import surgery
from rlprune.networks.checking.reference import Cut, Reference
from rlprune.networks.network import Network
from tests.architectures import checks, expectations, planting
from tests.architectures.examples import normal

Operation = Callable[[torch.Tensor], torch.Tensor]
CHANNELS = 8
SHAPES = {
    "image": (2, 3, 6, 6), "flat": (2, 3, 6, 6), "sequence": (2, 3, 12), "volume": (2, 2, 4, 4, 4),
    "tokens": (2, 5, 6), "rows": (3, 6),
}  # fmt: skip
"""Kind of network -> shape of its example input; ``flat`` flattens the image in front of its second layer."""

LAYERS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "image": (nn.Conv2d, 1), "flat": (nn.Conv2d, 1), "sequence": (nn.Conv1d, 1), "volume": (nn.Conv3d, 1),
    "tokens": (nn.Linear, -1), "rows": (nn.Linear, -1),
}  # fmt: skip
"""Kind of network -> its layers and the dimension of their channels."""


class Sandwich(nn.Module):
    """``first``, an operation, ``second``, ReLU, ``head``; ``second`` has as many inputs as come."""

    def __init__(self, operation: Operation, kind: str = "image") -> None:
        super().__init__()
        make, channel = LAYERS[kind]
        size = {} if make is nn.Linear else {"kernel_size": 1}
        self.operation = operation
        self.flatten = kind == "flat"
        self.first = make(SHAPES[kind][channel], CHANNELS, **size)
        with torch.no_grad():
            found = self.between(normal(*SHAPES[kind]))
        if self.flatten:
            make, channel, size = nn.Linear, -1, {}
        self.second = make(found.shape[channel], 6, **size)
        self.head = make(6, 3, **size)

    def between(self, x: torch.Tensor) -> torch.Tensor:
        x = self.operation(self.first(x))
        return x.flatten(1) if self.flatten else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(self.between(x))))


def operation(text: str) -> Operation:
    """A function of ``x``, in which ``F`` is ``torch.nn.functional``."""
    function: Operation = eval(f"lambda x: {text}", {"torch": torch, "F": functional})
    return function


def sandwich(text: str, kind: str) -> Network:
    """The network around an operation, seeded, with every width allowed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = checks.as_trained(Sandwich(operation(text), kind))
    return Network(model, normal(*SHAPES[kind]), multiple=1)


def prove(network: Network) -> None:
    """Groups make sense, pruned networks are right, and pruning dead channels changes nothing."""
    expectations.check_every_layer_is_explained(network)
    expectations.check_groups_are_consistent(network)
    checks.check_attributes(network)
    checks.check_params(network)
    prove_reference(network)
    planting.check_dead_channels(network)


def prove_reference(network: Network) -> None:
    """Half of all channels pruned at random equals the dense network that ignores them, in float64."""
    exact = checks.in_float64(network)
    for seed in (1, 2):
        kept = {group.name: checks.halves(group, seed)[0] for group in network.groups}
        pruned = surgery.prune(exact, kept).eval()
        with checks.precision(torch.float64):
            wanted = Reference(exact, exact.example_inputs, Cut(exact.atom_roots, exact.groups, kept)).run()
        error = checks.difference(checks.answer(pruned, exact), wanted)
        assert error <= checks.EXACT, f"pruning differs from the reference by {error:.1e} of the largest output"
