"""Peak memory of a forward, against what it must be by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rlprune.evaluation.memory import peak_tensor_bytes
from rlprune.networks import surgery
from rlprune.networks.network import Network
from tests.models import Concat, Depthwise, Residual

FLOAT = 4


def weights(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in [*module.parameters(), *module.buffers()])


def test_a_chain_holds_an_input_and_an_output_at_once() -> None:
    chain = nn.Sequential(nn.Linear(4, 100), nn.Linear(100, 50), nn.Linear(50, 2))
    # The network's own input stays with the caller; 100 and 50 channels are alive together in the second layer.
    assert peak_tensor_bytes(chain, torch.zeros(3, 4)) == weights(chain) + 3 * FLOAT * (4 + 100 + 50)


def test_what_is_freed_does_not_count() -> None:
    chain = nn.Sequential(*(nn.Linear(32, 32) for _ in range(10)))
    assert peak_tensor_bytes(chain, torch.zeros(1, 32)) == weights(chain) + FLOAT * 3 * 32


@pytest.mark.parametrize(("inplace", "tensors"), [(True, 2), (False, 3)])
def test_an_operation_in_place_counts_once(inplace: bool, tensors: int) -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(inplace=inplace))
    assert peak_tensor_bytes(model, torch.zeros(5, 16)) == weights(model) + 5 * FLOAT * tensors * 16


def test_views_count_once() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.Unflatten(1, (4, 4)), nn.Flatten())
    assert peak_tensor_bytes(model, torch.zeros(5, 16)) == weights(model) + 5 * FLOAT * 2 * 16


class Shortcut(nn.Module):
    """Two layers and a shortcut around them."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = x + self.inside(x)
        return answer


def test_a_shortcut_keeps_its_tensor_alive() -> None:
    first, inside = nn.Linear(8, 64), nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    plain, shortcut = nn.Sequential(first, *inside), nn.Sequential(first, Shortcut(inside))
    activations = [peak_tensor_bytes(model, torch.zeros(2, 8)) - weights(model) for model in (plain, shortcut)]
    assert activations == [2 * FLOAT * (8 + 2 * 64), 2 * FLOAT * (8 + 3 * 64)]


def test_inputs_count_as_far_as_they_are_used() -> None:
    model = nn.Linear(8, 1)
    data = torch.zeros(1000, 8)
    assert peak_tensor_bytes(model, data[:4]) == weights(model) + 4 * FLOAT * (8 + 1)
    assert peak_tensor_bytes(model, data) == weights(model) + 1000 * FLOAT * (8 + 1)
    assert peak_tensor_bytes(model, {"input": data[:4]}) == peak_tensor_bytes(model, (data[:4],))


def test_shared_weights_count_once() -> None:
    layer = nn.Linear(8, 8)
    assert peak_tensor_bytes(nn.Sequential(layer, layer), torch.zeros(1, 8)) == weights(layer) + FLOAT * 3 * 8


def test_neither_the_network_nor_its_inputs_are_changed() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm1d(4).eval(), nn.Dropout(0.5))
    inputs = torch.tensor([[-1.0, 2.0, -3.0, 4.0]])
    peak_tensor_bytes(model, inputs)
    assert inputs.tolist() == [[-1.0, 2.0, -3.0, 4.0]]
    assert [part.training for part in model] == [True, False, True]
    assert int(model[1].num_batches_tracked) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Residual, Concat, Depthwise])
def test_a_pruned_network_never_needs_more(kind: type[nn.Module]) -> None:
    network = Network(kind(), torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), multiple=4)
    last = peak_tensor_bytes(network.model, network.example_inputs)
    for share in (0.75, 0.5, 0.25):
        widths = (network.dense_widths * share).astype(int)
        pruned = surgery.prune(network, surgery.leading_channels(network, widths))
        peak = peak_tensor_bytes(pruned, network.example_inputs)
        assert weights(pruned) < peak < last
        last = peak
