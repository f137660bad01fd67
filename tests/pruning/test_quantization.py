"""Weights in few bits, ranges of inputs, and layers that read uint8, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rlprune.errors import NetworkError, PlanError
from rlprune.networks.network import Network
from rlprune.pruning.quantization import (
    InputCodes,
    Int8Inputs,
    Range,
    fake_quantized,
    int8_layers,
    measure_ranges,
    storable_layers,
)
from tests.models import build, images


class Mixed(nn.Module):
    """Layers of the kinds that differ in what can be done with them."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(12, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.recurrent = nn.LSTM(16, 24, batch_first=True)
        self.hidden = nn.Linear(24, 32)
        self.head = nn.Linear(32, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        answer: torch.Tensor = self.head(torch.relu(self.hidden(self.recurrent(x)[0][:, -1])))
        return answer


@pytest.fixture(scope="module")
def mixed() -> Network:
    torch.manual_seed(0)
    return Network(Mixed(), torch.randint(0, 12, (2, 5)))


def test_only_modules_that_are_called_are_computed_in_int8(mixed: Network) -> None:
    assert int8_layers(mixed) == ("hidden", "head")


class Called(nn.Module):
    """A linear layer whose weight is used without a call of the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.linear(torch.relu(self.first(x)), self.second.weight, self.second.bias)
        answer: torch.Tensor = self.head(torch.relu(hidden))
        return answer


def test_a_layer_whose_module_is_not_called_is_not_computed_in_int8() -> None:
    network = Network(Called().eval(), torch.zeros(1, 6))
    assert [layer.name for layer in network.layers] == ["first", "second", "head"]
    assert int8_layers(network) == ("first", "head")
    assert not network.model.second._forward_pre_hooks


def test_rows_of_embeddings_have_scales_of_their_own() -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(50, 16, generator=generator) * torch.logspace(-3, 1, 50)[:, None]
    model = nn.Sequential(nn.Embedding(50, 16, _weight=table), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
    place = storable_layers(Network(model, torch.zeros(2, 5, dtype=torch.long)))["0"]
    rounded = fake_quantized(table, 8, place.out_dim)
    assert ((rounded - table).square().sum(1) < 1e-3 * table.square().sum(1)).all()


def test_every_matrix_can_be_stored_along_its_output_channels(mixed: Network) -> None:
    places = storable_layers(mixed)
    assert places["words"] == ("words.weight", 0)  # a scale for each row
    assert places["head"] == ("head.weight", 0)
    assert {"recurrent.weight_ih_l0", "recurrent.weight_hh_l0", "hidden"} <= places.keys()
    tensors = mixed.model.state_dict()
    assert all(tensors[place.key].dim() > 1 for place in places.values())


@pytest.mark.parametrize(("bits", "largest"), [(4, 7), (8, 127)])
def test_rounding_errs_by_half_a_step_at_most(bits: int, largest: int) -> None:
    weight = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(0))
    weight[2] = 0
    step = weight.abs().amax((1, 2), keepdim=True) / largest
    error = (fake_quantized(weight, bits, 0) - weight).abs()
    assert bool((error <= step * 0.51).all())
    assert error.max() > 0
    assert len(fake_quantized(weight, bits, 0)[0].unique()) <= 2 * largest + 1


def test_more_bits_err_less_and_32_change_nothing() -> None:
    weight = torch.randn(8, 40, generator=torch.Generator().manual_seed(1)).double()
    errors = [float((fake_quantized(weight, bits, 0) - weight).norm()) for bits in (4, 8, 16)]
    assert errors[0] > 10 * errors[1] > 100 * errors[2] > 0
    assert fake_quantized(weight, 32, 0) is weight
    assert fake_quantized(weight, 8, 0).dtype == torch.float64
    with pytest.raises(PlanError, match="4, 8, 16, 32 bits; 5 came"):
        fake_quantized(weight, 5, 0)


@pytest.mark.parametrize(
    ("values", "scale", "zero_point"),
    [
        (Range(0, 5.1), 0.02, 0),
        (Range(-1.02, 4.08), 0.02, 51),
        (Range(1, 5.1), 0.02, 0),  # 0 must have a code
        (Range(-5.1, -2), 0.02, 255),
        (Range(0, 0), 1.0, 0),
    ],
)
def test_codes_of_inputs(values: Range, scale: float, zero_point: int) -> None:
    codes = InputCodes.covering(values)
    assert codes.zero_point == zero_point
    assert codes.scale == pytest.approx(scale, rel=1e-6)


def test_ranges_are_the_ends_of_what_a_layer_reads() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 2)).eval()
    nn.init.eye_(model[0].weight)
    batches = [(torch.tensor([[-1.0, 0, 2]]),), (torch.tensor([[0, 7.0, 0.5]]),)]
    assert measure_ranges(model, ["0", "1"], batches) == {"0": (-1, 7), "1": (-1, 7)}
    assert not model[0]._forward_pre_hooks


def test_percentiles_leave_out_rare_values() -> None:
    model = nn.Sequential(nn.Linear(100, 1)).eval()
    calm = torch.rand(1000, 100, generator=torch.Generator().manual_seed(2))
    calm[0, 0] = 1000.0
    low, high = measure_ranges(model, ["0"], [(calm,)], percentile=99.99)["0"]
    assert 0 <= low < 0.01
    assert 0.99 < high < 1.01


def test_layers_that_are_not_called_have_no_range_and_nan_is_refused() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "idle": nn.Linear(2, 2)})
    model.forward = model["used"].forward  # type: ignore[method-assign]
    assert measure_ranges(model, ["idle"], [(torch.ones(1, 2),)]) == {}
    sequence = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(NetworkError, match="0 read NaN or infinity"):
        measure_ranges(sequence, ["0"], [(torch.ones(1, 2),), (torch.tensor([[math.nan, 1]]),), (torch.ones(1, 2),)])


def test_active_layers_read_rounded_inputs_and_the_others_do_not() -> None:
    model = build("residual").eval()
    network = Network(model, images(2, seed=0))
    layers = int8_layers(network)
    ranges = measure_ranges(network.model, layers, [(images(64, seed=1),)])
    seen: dict[str, torch.Tensor] = {}
    plain = network.model(images(8, seed=1))
    simulated = Int8Inputs(network.model, layers)
    for name in ("stem", "head"):
        network.model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: seen.update({name: args[0]})
        )
    simulated.apply(ranges, ["head"])
    rounded = network.model(images(8, seed=1))
    codes = InputCodes.covering(ranges["head"])
    whole = seen["head"] / codes.scale
    torch.testing.assert_close(whole, whole.round(), atol=1e-3, rtol=0)
    assert torch.equal(seen["stem"], images(8, seed=1))
    assert 0 < float((rounded - plain).abs().max()) < 0.1 * float(plain.abs().max())
    simulated.apply(ranges, [])
    assert torch.equal(network.model(images(8, seed=1)), plain)
    simulated.apply(ranges, layers)
    simulated.remove()
    assert torch.equal(network.model(images(8, seed=1)), plain)


def test_a_layer_without_range_or_of_another_kind_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    simulated = Int8Inputs(model, ["0"])
    with pytest.raises(PlanError, match="needs the range of its inputs; 0 has none"):
        simulated.apply({}, ["0"])
    with pytest.raises(PlanError, match="1 is not one of them"):
        simulated.apply({"1": Range(0, 1)}, ["1"])
