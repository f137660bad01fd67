"""What is handed over: ONNX answers what torch does, and the compact file holds the module's tensors bit for bit."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.choice import Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.delivery.compact.file import Stored, load_compact
from rlprune.delivery.delivered import INT8_TOLERANCE, Delivered
from rlprune.delivery.onnx.reading import initializers, input_arrays
from rlprune.delivery.onnx.session import run_onnx
from rlprune.delivery.onnx.verifying import TOLERANCE, verify_onnx
from rlprune.errors import DeviceError, NetworkError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.pipeline.delivering import NetworkFiles, network_files
from rlprune.experiments.runs.run_folder import ONNX
from rlprune.networks.network import Network
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.plan import PruningPlan
from rlprune.pruning.quantization import WeightPlace, int8_layers
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import Split, Task, load_task
from rlprune.zoo import resolve_network
from tests.mixed import NETWORKS, RULES, prepare, random_rows, row_of
from tests.saturation import needs_exact_int8

PREPARED = functools.cache(prepare)


def few_bits(space: Space, bits: int) -> IntArray:
    """Every weight in ``bits``, and every other group at half its channels."""
    row = space.full.copy()
    for place, choice in enumerate(space.choices):
        if choice.kind == "bits":
            row[place] = bits
        elif choice.kind == "channels" and place % 2:
            row[place] = choice.levels[len(choice.levels) // 2]
    return row


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.shape == right.shape and torch.equal(
        left.flatten().view(torch.uint8), right.flatten().view(torch.uint8)
    )


def assert_file_holds(delivered: Delivered, path: Path) -> None:
    content, state = delivered.compact(), delivered.module.state_dict()
    assert content is not None
    path.write_bytes(content)
    loaded = load_compact(path)
    assert loaded.keys() == state.keys()
    for key in state:
        assert loaded[key].dtype == state[key].dtype
        assert same_bits(loaded[key], state[key]), key


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_compact_file_holds_the_very_tensors_of_the_module(name: str, rule: str, tmp_path: Path) -> None:
    prepared = PREPARED(name)
    space = prepared.space(rule=RULES[rule])
    evaluator = prepared.evaluator(space)
    for row in random_rows(space, 4):
        assert_file_holds(evaluator.delivered(row), tmp_path / "net.safetensors")


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("name", NETWORKS)
def test_bits_alone_come_back_too(name: str, bits: int, tmp_path: Path) -> None:
    prepared = PREPARED(name)
    space = Space(prepared.network, Decisions(("bits",), bits=(bits,)))
    delivered = prepared.evaluator(space).delivered([choice.levels[0] for choice in space.choices])
    assert len(delivered.stored) == len(space.choices)
    assert_file_holds(delivered, tmp_path / "net.safetensors")


@pytest.mark.parametrize("kinds", [("channels",), ("channels", "weights", "bits")], ids="+".join)
def test_without_treatment_there_is_no_compact_file(kinds: tuple[Kind, ...]) -> None:
    prepared = PREPARED("residual")
    space = prepared.space(*kinds)
    row = space.full.copy()
    row[0] = space.choices[0].levels[0]
    delivered = prepared.evaluator(space).delivered(row)
    assert (delivered.compact(), dict(delivered.stored), dict(delivered.ranges)) == (None, {}, {})
    assert delivered.tolerance == TOLERANCE


@pytest.mark.parametrize("name", ["residual", "transformer", "depthwise"])
def test_onnx_answers_what_the_module_does(name: str) -> None:
    prepared = PREPARED(name)
    space = prepared.space()
    evaluator = prepared.evaluator(space)
    for row in random_rows(space, 2, seed=3):
        delivered = evaluator.delivered(row)
        model = delivered.onnx(prepared.network.example_inputs, prepared.task.calibration)
        verify_onnx(model, delivered.module, prepared.network.example_inputs, batch=1, tolerance=delivered.tolerance)


def test_a_dropped_block_is_not_in_the_graph() -> None:
    prepared = PREPARED("residual")
    space = prepared.space()
    row = row_of(space, {f"depth:{space.blocks.names[0]}": 0})
    delivered = prepared.evaluator(space).delivered(row)
    whole = prepared.evaluator(space).delivered(space.full)
    arguments = (prepared.network.example_inputs, prepared.task.calibration)
    assert len(delivered.onnx(*arguments)) < len(whole.onnx(*arguments))
    assert not any(key.startswith(space.blocks.names[0]) for key in delivered.module.state_dict())


@needs_exact_int8
def test_int8_onnx_follows_the_simulation() -> None:
    prepared = PREPARED("residual")
    space = prepared.space("channels", "bits", int8=int8_layers(prepared.network))
    delivered = prepared.evaluator(space).delivered(few_bits(space, 8))
    assert set(delivered.ranges) == set(int8_layers(prepared.network))
    assert delivered.tolerance == INT8_TOLERANCE
    assert agreement(delivered, prepared.network, prepared.task.validation.tensors[0], prepared.task.calibration) > 0.9


@needs_exact_int8
def test_every_calibration_sample_tells_the_ranges_of_int8_onnx() -> None:
    """The last of a hundred samples alone has large answers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, inputs = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2)).eval(), torch.randn(100, 4)
    inputs[-1] = 20
    calibration, network = Split(inputs, torch.zeros(100, dtype=torch.long)), Network(model, inputs[:1], multiple=1)
    space = Space(network, Decisions(("bits",)), int8=("0",))
    row = np.array([8 if choice.name == "0" else 32 for choice in space.choices])
    delivered = PlanBuilder(PruningTables(network, calibration), space, calibration).delivered(row)
    exported = delivered.onnx(inputs[:1], calibration)
    (answers,) = run_onnx(exported, input_arrays(exported, inputs[-1:], 1))
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(answers), delivered.module(inputs[-1:]), rtol=0.05, atol=0.05)


def agreement(delivered: Delivered, network: Network, images: torch.Tensor, calibration: object) -> float:
    """Share of images to which ONNX Runtime gives the class that torch gives."""
    model = delivered.onnx(network.example_inputs, calibration, batch=len(images))  # type: ignore[arg-type]
    (answers,) = run_onnx(model, input_arrays(model, images, len(images)))
    with torch.no_grad():
        wanted = delivered.module(images)
    return float(np.mean(answers.argmax(1) == wanted.argmax(1).numpy()))


@needs_exact_int8
@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
def test_a_trained_network_in_int8_gives_the_classes_of_its_simulation(bits: int) -> None:
    zoo = resolve_network("digits-resnet")
    network, task = Network(zoo.model, zoo.example_inputs), load_task("digits")
    space = Space(network, Decisions(("channels", "bits")), int8=int8_layers(network))
    evaluator = Evaluator(PruningTables(network, task.calibration), task, space=space)
    delivered = evaluator.delivered(few_bits(space, bits))
    assert len(delivered.ranges) == len(int8_layers(network))
    assert agreement(delivered, network, task.validation.tensors[0], task.calibration) > 0.99
    assert evaluator.on(delivered.module, task.validation).score > 0.9


class Words(nn.Module):
    """An embedding, and a head that may be the same."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, 32), nn.Linear(32, 50, bias=False)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        h = self.table(words)
        h = h + self.down(torch.relu(self.up(h)))
        out: torch.Tensor = self.head(h.mean(1))
        return out


def words_in_few_bits(tied: bool) -> NetworkFiles:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Words(tied).eval()
    words = torch.randint(0, 50, (32, 12), generator=generator)
    network, split = Network(model, words[:1]), Split(words, torch.zeros(32, dtype=torch.long))
    space = Space(network, Decisions(("bits",), bits=(8, 32)))
    row = np.array([8] * len(space.choices))
    delivered = PlanBuilder(PruningTables(network, split), space, split).delivered(row)
    return network_files(delivered, network, split)


def test_a_tied_weight_of_few_bits_stands_once_and_in_few_bits_in_onnx() -> None:
    apart, tied = words_in_few_bits(False), words_in_few_bits(True)
    assert tied.wide == apart.wide == []
    assert tied.held["int8"] < apart.held["int8"]
    assert tied.held["float32"] < 0.25 * tied.held["int8"]
    assert len(tied.contents[ONNX]) < len(apart.contents[ONNX])
    assert tied.notes[0].startswith("Weights in pruned.onnx: ")


def test_a_weight_that_the_exporter_rewrote_is_float32_and_named_and_the_others_are_in_few_bits() -> None:
    module = nn.Sequential(nn.Linear(8, 4)).eval()
    narrow = {"0": (8, WeightPlace("0.weight", 0)), "gone": (8, WeightPlace("gone.weight", 0))}
    delivered = Delivered(module, {"0.weight": Stored(8)}, narrow=narrow)
    model = delivered.onnx((torch.zeros(1, 8),), Split(torch.zeros(1, 8), torch.zeros(1)))
    assert delivered.wide_in(model) == ["gone"]
    assert {kind for kind, _ in initializers(model).values()} == {"int8", "float32"}
    notes = NetworkFiles(wide=delivered.wide_in(model)).notes
    assert notes == ["Of few bits, but float32 in pruned.onnx, changed by the exporter or filled by means: gone."]


TYPED = {
    "dense": lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)),
    "conv": lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(16 * 16, 4)
    ),
}


@pytest.mark.parametrize("rule", ["zeros", "2:4 means"])
@pytest.mark.parametrize("kinds", [("channels",), ("bits",), ("channels", "weights"), ("channels", "weights", "bits")])
@pytest.mark.parametrize(
    ("name", "dtype"), [("dense", torch.float32), ("dense", torch.float64), ("conv", torch.float64)]
)
def test_networks_keep_their_type(
    name: str, dtype: torch.dtype, kinds: tuple[Kind, ...], rule: str, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.randn(32, *((8,) if name == "dense" else (1, 8, 8)), dtype=dtype)
        network = Network(TYPED[name]().to(dtype), x[:2])
    data = Split(x, torch.arange(32) % 4)
    task = Task("typed", classes=4, calibration=data, validation=data, test=data)
    space = Space(network, Decisions(kinds, rule=RULES[rule]))
    row = np.array([choice.levels[0] for choice in space.choices])
    evaluator = Evaluator(PruningTables(network, data), task, space=space)
    assert np.isfinite(evaluator(row).divergence)
    delivered = evaluator.delivered(row)
    for module in (delivered.module, PruningPlan.from_levels(space, row).apply(network)):
        assert {parameter.dtype for parameter in module.parameters()} == {dtype}
        assert module.eval()(x).dtype == dtype
    if delivered.stored:
        assert_file_holds(delivered, tmp_path / "net.safetensors")
    if len(kinds) < 3:
        return
    if name == "dense":
        verify_onnx(delivered.onnx(x[:1], data), delivered.module, x[:1])
    else:
        with pytest.raises(DeviceError, match=r"no Conv for this one.*call \.float"):
            verify_onnx(delivered.onnx(x[:1], data), delivered.module, x[:1])


def test_int8_in_float64_is_refused_in_one_sentence() -> None:
    x = torch.randn(32, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network, data = Network(TYPED["dense"]().double(), x[:2]), Split(x, torch.zeros(32, dtype=torch.long))
    space = Space(network, Decisions(("bits",), bits=(8,)), int8=int8_layers(network))
    row = np.array([choice.levels[0] for choice in space.choices])
    delivered = PlanBuilder(PruningTables(network, data), space, data).delivered(row)
    assert delivered.module(x).dtype == torch.float64
    with pytest.raises(NetworkError, match="must have float32 weights"):
        delivered.onnx(x[:1], data)
