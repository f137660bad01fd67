"""Networks in int8 and with weights in few bits: ONNX Runtime against the torch modules they stand for."""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.few_bits import weight_only_onnx
from rlprune.delivery.onnx.folding import folded
from rlprune.delivery.onnx.int8 import quantize_for_timing, quantize_onnx
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import Feed, run_onnx
from rlprune.delivery.onnx.template import OnnxTemplate
from rlprune.delivery.onnx.verifying import verify_onnx
from rlprune.errors import NetworkError, PlanError, TaskError
from rlprune.networks.network import Network
from rlprune.pruning.quantization import (
    Int8Inputs,
    Range,
    WeightPlace,
    fake_quantized,
    int8_layers,
    measure_ranges,
    storable_layers,
)
from rlprune.tasks import load_task
from rlprune.zoo import resolve_network
from tests.models import build, images
from tests.saturation import needs_exact_int8

BATCH = 64


@functools.cache
def exported(network: Network) -> bytes:
    return export_onnx_bytes(network.model, network.example_inputs, batch=BATCH, optimize=False)


def with_noise(model: nn.Module) -> nn.Module:
    """BatchNorms that do something."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.normal_(module.weight, generator=generator)  # of either sign
    return model.eval()


@pytest.fixture(scope="module")
def residual() -> Network:
    torch.manual_seed(1)
    return Network(with_noise(build("residual")), images(2, seed=0))


def noise(count: int, seed: int, channels: int) -> torch.Tensor:
    return torch.randn(count, channels, 16, 16, generator=torch.Generator().manual_seed(seed))


class Encoder(nn.Module):
    """One block of a transformer: linear layers on sequences, which ONNX writes as products and sums."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(32)
        self.query, self.key, self.value, self.out = (nn.Linear(32, 32) for _ in range(4))
        self.up, self.down, self.head = nn.Linear(32, 64), nn.Linear(64, 32), nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read = self.norm(x)
        heads = [each(read).unflatten(-1, (2, -1)).transpose(1, 2) for each in (self.query, self.key, self.value)]
        x = x + self.out(nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        x = x + self.down(nn.functional.gelu(self.up(x)))
        answer: torch.Tensor = self.head(x.mean(1))
        return answer


def tokens(count: int, seed: int) -> torch.Tensor:
    return 2 * torch.randn(count, 12, 32, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def encoder() -> Network:
    torch.manual_seed(2)
    return Network(Encoder().eval(), tokens(2, seed=0))


def simulated(
    network: Network, ranges: dict[str, Range], layers: Collection[str], inputs: torch.Tensor
) -> torch.Tensor:
    model = copy.deepcopy(network.model)
    with torch.no_grad():
        for name in layers:
            weight = model.get_parameter(f"{name}.weight")
            weight.copy_(fake_quantized(weight, 8, 0))
        Int8Inputs(model, layers).apply(ranges, layers)
        answer: torch.Tensor = model(inputs)
        return answer


def divergence(answers: torch.Tensor, wanted: torch.Tensor) -> float:
    """KL in nats."""
    pair = (answers.log_softmax(1), wanted.log_softmax(1))
    return float(nn.functional.kl_div(*pair, log_target=True, reduction="batchmean"))


def in_int8(network: Network, layers: Collection[str], samples: torch.Tensor, ranges: dict[str, Range]) -> torch.Tensor:
    model = exported(network)
    feed = input_arrays(model, samples, BATCH)
    return torch.from_numpy(run_onnx(quantize_onnx(model, layers, [feed], ranges), feed)[0])


@needs_exact_int8
@pytest.mark.parametrize("fixture", ["residual", "encoder"])
@pytest.mark.parametrize("share", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_onnx_runtime_answers_what_the_simulation_does(
    fixture: str, share: int, request: pytest.FixtureRequest
) -> None:
    network: Network = request.getfixturevalue(fixture)
    samples = images(BATCH, seed=5) if fixture == "residual" else tokens(BATCH, seed=5)
    layers = int8_layers(network)[::share]
    ranges = measure_ranges(network.model, layers, [(samples,)])
    got = in_int8(network, layers, samples, ranges)
    wanted = simulated(network, ranges, layers, samples)
    dense = network.model(samples).detach()
    assert not torch.allclose(got, dense, atol=1e-4)
    assert float((got.argmax(1) == wanted.argmax(1)).float().mean()) >= 0.95
    assert divergence(got, wanted) < 1e-3
    assert float((got - wanted).abs().max()) < 0.05 * float(dense.abs().max())


def test_given_ranges_are_the_ones_delivered(residual: Network) -> None:
    model = exported(residual)
    feed = input_arrays(model, images(BATCH, seed=5), BATCH)
    scales = [scales_of_inputs(quantize_onnx(model, ["block1.conv1"], [feed], given)) for given in (None, {})]
    assert scales[0] == scales[1]
    given = scales_of_inputs(quantize_onnx(model, ["block1.conv1"], [feed], {"block1.conv1": Range(0, 51)}))
    assert given[0] == pytest.approx(0.2)
    assert given[1:] == scales[0][1:]  # of what it answers


def scales_of_inputs(model: bytes) -> list[float]:
    """Scales of what is rounded to uint8, in the graph's order of layers."""
    graph = onnx.load_from_string(model).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    return [float(values[node.input[1]]) for node in nodes]


def test_pooling_and_reshapes_between_layers_in_int8_convert_nothing(tmp_path: Path) -> None:
    """Ranges before and after pooling come from two libraries, and differ in their last bits."""
    torch.manual_seed(0)
    convs = (nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 16, 3), nn.ReLU())
    network = Network(nn.Sequential(*convs, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 4)).eval(), noise(4, 0, 8))
    layers = int8_layers(network)
    ranges = measure_ranges(network.model, layers, [(noise(4, seed, 8),) for seed in range(4)])
    ranges = {name: Range(low, high * (1 + 1e-6)) for name, (low, high) in ranges.items()}
    model = export_onnx_bytes(network.model, network.example_inputs, optimize=False)
    feeds = [input_arrays(model, noise(1, seed, 8), 1) for seed in range(4)]
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(quantize_onnx(model, layers, feeds, ranges), options)
    operators = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert (operators["QuantizeLinear"], operators["DequantizeLinear"]) == (1, 1)


def test_only_the_layers_asked_for_are_in_int8(residual: Network) -> None:
    model = exported(residual)
    one = onnx.load_from_string(quantize_for_timing(model, ["block1.conv1"]))
    kinds = Counter(node.op_type for node in one.graph.node)
    assert kinds["QuantizeLinear"] == 2  # what it reads and what it answers
    codes = [tensor for tensor in one.graph.initializer if tensor.data_type == onnx.TensorProto.INT8 and tensor.dims]
    assert [list(tensor.dims) for tensor in codes if len(tensor.dims) == 4] == [[8, 8, 3, 3]]
    assert not kinds["BatchNormalization"]


def test_no_layers_is_the_network_itself(residual: Network) -> None:
    model = exported(residual)
    feed = input_arrays(model, images(BATCH, seed=5), BATCH)
    (got,) = run_onnx(quantize_onnx(model, [], []), feed)
    np.testing.assert_allclose(got, run_onnx(model, feed)[0], rtol=1e-4, atol=1e-4)


def test_slices_of_a_template_become_int8(residual: Network) -> None:
    template = OnnxTemplate(residual, batch=2)
    widths = np.array([group.widths[0] for group in residual.groups])
    (answers,) = run_onnx(quantize_for_timing(template.sliced(widths), int8_layers(residual)), template.feed)
    assert answers.shape == (2, 10)


def test_int8_without_samples_and_with_other_layers_is_refused(residual: Network) -> None:
    model = exported(residual)
    with pytest.raises(NetworkError, match="need calibration samples"):
        quantize_onnx(model, ["head"], [])
    with pytest.raises(NetworkError, match=r"block1\.bn1 is none"):
        quantize_for_timing(model, ["block1.bn1"])


def test_batchnorms_are_folded_only_where_nothing_else_reads_their_input() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.alone, self.shared = nn.Conv2d(1, 4, 3, bias=False), nn.Conv2d(4, 4, 1)
            self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.shared(self.norms[0](self.alone(x)))
            return x + self.norms[1](x)

    samples = images(2, seed=0)
    model = export_onnx_bytes(with_noise(Twice()), samples, batch=2, optimize=False)
    result = folded(onnx.load_from_string(model))
    assert Counter(node.op_type for node in result.graph.node)["BatchNormalization"] == 1
    feed: Feed = input_arrays(model, samples, 2)
    np.testing.assert_allclose(
        run_onnx(result.SerializeToString(), feed)[0], run_onnx(model, feed)[0], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("fixture", ["residual", "encoder"])
@pytest.mark.parametrize(("bits", "share"), [(16, 0.6), (8, 0.4), (4, 0.31)])
def test_weights_in_few_bits_answer_what_rounded_ones_do(
    fixture: str, bits: int, share: float, request: pytest.FixtureRequest
) -> None:
    network: Network = request.getfixturevalue(fixture)
    places = storable_layers(network)
    model = exported(network)
    small = weight_only_onnx(model, dict.fromkeys(places, bits), places)
    stored = sum(weights_bytes(small))
    assert stored < share * sum(weights_bytes(folded(onnx.load_from_string(model)).SerializeToString()))
    rounded = copy.deepcopy(network.model)
    state = rounded.state_dict()
    for key, out_dim in places.values():
        state[key].copy_(fake_quantized(state[key], bits, out_dim))
    samples = images(BATCH, seed=5) if fixture == "residual" else tokens(BATCH, seed=5)
    (got,) = run_onnx(small, input_arrays(model, samples, BATCH))
    wanted = rounded(samples).detach()
    tolerance = 1e-5 * float(wanted.abs().max())
    assert float((torch.from_numpy(got) - wanted).abs().max()) < tolerance
    if bits == 4:
        assert float((network.model(samples) - wanted).abs().max()) > tolerance


def weights_bytes(model: bytes) -> list[int]:
    return [len(tensor.raw_data) for tensor in onnx.load_from_string(model).graph.initializer]


def test_some_layers_in_int8_and_the_others_in_few_bits(encoder: Network) -> None:
    places = storable_layers(encoder)
    model = exported(encoder)
    feed = input_arrays(model, tokens(BATCH, seed=5), BATCH)
    int8 = quantize_onnx(model, ["up", "down"], [feed])
    both = weight_only_onnx(int8, {"query": 8, "value": 4, "head": 32}, places)
    assert len(both) < len(int8)
    (got,), dense = run_onnx(both, feed), encoder.model(tokens(BATCH, seed=5)).detach()
    assert 0 < float((torch.from_numpy(got) - dense).abs().max()) < 0.3 * float(dense.abs().max())


def test_weights_that_cannot_be_stored_are_refused(residual: Network) -> None:
    places, model = storable_layers(residual), exported(residual)
    with pytest.raises(PlanError, match=r"block1\.bn1 is none"):
        weight_only_onnx(model, {"block1.bn1": 8}, places)
    with pytest.raises(PlanError, match="3 came"):
        weight_only_onnx(model, {"head": 3}, places)
    with pytest.raises(NetworkError, match=r"no weight head\.weight"):
        weight_only_onnx(quantize_for_timing(model, ["head"]), {"head": 8}, places)


@needs_exact_int8
@pytest.mark.slow
def test_a_trained_network_agrees_with_its_simulation() -> None:
    loaded = resolve_network("fashion-resnet20")
    network = Network(loaded.model, loaded.example_inputs)
    try:
        task = load_task("fashion-mnist")
    except TaskError as reason:
        pytest.skip(f"the real data set is not here: {reason}")
    layers = int8_layers(network)
    calibration, validation = task.calibration.take(512).tensors[0], task.validation.take(1024).tensors[0]
    model = exported(network)
    ranges = measure_ranges(network.model, layers, [(part,) for part in calibration.split(BATCH)])
    feeds = [input_arrays(model, part, BATCH) for part in calibration.split(BATCH)]
    quantized = quantize_onnx(model, layers, feeds, ranges)
    parts = [run_onnx(quantized, input_arrays(model, part, BATCH))[0] for part in validation.split(BATCH)]
    got, wanted = torch.from_numpy(np.concatenate(parts)), simulated(network, ranges, layers, validation)
    assert float((got.argmax(1) == wanted.argmax(1)).float().mean()) > 0.99
    assert divergence(got, wanted) < 1e-3


class SharedNorm(nn.Module):
    """One BatchNorm behind two convolutions, with and without bias."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, bias=bias), nn.Conv2d(8, 8, 3, bias=bias)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.second(torch.relu(self.norm(self.first(x))))))
        out: torch.Tensor = self.head(y.mean((2, 3)))
        return out


@pytest.mark.parametrize("bias", [False, True])
def test_a_norm_behind_two_convolutions_is_folded_into_both(bias: bool) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = with_noise(SharedNorm(bias))
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    exported = export_onnx_bytes(module, (x,), optimize=False)
    result = folded(onnx.load_from_string(exported))
    assert not any(node.op_type == "BatchNormalization" for node in result.graph.node)
    verify_onnx(result.SerializeToString(), module, (x,))
    place = {"head": WeightPlace("head.weight", 0)}
    verify_onnx(weight_only_onnx(exported, {"head": 8}, place), module, (x,), tolerance=0.05)
