"""Odd networks and inputs either work, which is shown, or are refused in one sentence that names the place."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from rlprune.choices.space import Space
from rlprune.errors import NetworkError
from rlprune.networks import surgery
from rlprune.networks.inputs import call
from rlprune.networks.loading.acceptance import accepted_copy
from rlprune.networks.network import Network
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.plan import PruningPlan
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.split import Split
from tests import odd_networks as odd
from tests.architectures import checks
from tests.architectures.examples import normal
from tests.odd_networks import IDS, IMAGE
from tests.sandwich import Sandwich, prove, prove_reference

Make = Callable[[], nn.Module]
PLAIN = {"first": 8, "second": 6}
PARTS = ("weight", "bias")
OUTPUT = "its channels are an output of the network"
SCRIPTED = torch.jit.script(functional.silu)


def network_of(make: Make, inputs: Any = IMAGE, seed: int = 0) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network(make(), inputs, multiple=1)


def widths(network: Network) -> dict[str, int]:
    return {group.name: group.width for group in network.groups}


def around(operation: Callable[[torch.Tensor], torch.Tensor], kind: str = "image") -> Make:
    return lambda: Sandwich(operation, kind)


def groups_or_refusal(make: Make) -> dict[str, int]:
    """The same, and nothing where the network is refused."""
    try:
        return widths(network_of(make))
    except NetworkError:
        return {}


TAKEN: list[tuple[str, Make, Any, dict[str, int]]] = [
    ("double", lambda: odd.plain().double(), IMAGE.double(), PLAIN),
    ("tied embedding", odd.Tied, IDS, {"embed": 16, "up": 32}),
    ("masks of ones", odd.Pooled, (IDS, torch.ones_like(IDS)), {"embed": 16, "up": 24}),
    ("masks", odd.Pooled, (IDS, (IDS > 5).long()), {"embed": 16, "up": 24}),
    ("masks in floating point", odd.Pooled, (IDS, (IDS > 5).float()), {"embed": 16, "up": 24}),
    ("no mask", odd.Pooled, (IDS, None), {"embed": 16, "up": 24}),
    ("by name", odd.Named, {"image": IMAGE}, PLAIN),
    ("by name, with more", odd.Named, {"image": IMAGE, "scale": torch.tensor(2.0), "mode": "x"}, PLAIN),
    ("batch of one", odd.Dropping, IMAGE[:1], {"layers.0": 8}),
    ("training", lambda: odd.Dropping().train(), IMAGE, {"layers.0": 8}),
    ("one input channel", lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 1, 3)), IMAGE[:, :1], {"0": 8}),
    ("hooks", odd.hooked, IMAGE, PLAIN),
    ("frozen", odd.frozen, IMAGE, PLAIN),
    ("counting", odd.Counting, IMAGE, PLAIN),
    ("compiled inside", odd.compiled_inside, IMAGE, {"0": 8, "1.1": 8}),
    ("compiled", lambda: torch.compile(odd.plain()), IMAGE, PLAIN),
    ("compiled forward", odd.compiled_forward, IMAGE, PLAIN),
    ("graph module", odd.graph_module, IMAGE, {"0": 8}),
    ("DataParallel", odd.data_parallel, IMAGE, {"module.first": 8, "module.second": 6}),
    ("inference mode", odd.made_in_inference_mode, IMAGE, PLAIN),
    ("custom gradient", around(odd.Squared.apply), IMAGE, PLAIN),
    ("scripted function", around(lambda x: SCRIPTED(x)), IMAGE, PLAIN),
    ("checkpoint", around(lambda x: checkpoint(torch.relu, x, use_reentrant=False)), IMAGE, PLAIN),
    ("vmap", around(torch.func.vmap(torch.tanh)), IMAGE, PLAIN),
    ("sparse matrix times input", odd.SparseProduct, normal(5, 6), {"first": 16, "second": 8}),
    ("flattened batch", around(lambda x: x.flatten(0, 1).relu().unflatten(0, (2, -1))), IMAGE, PLAIN),
    ("flattened all", around(lambda x: x.flatten().relu().view_as(x)), IMAGE, PLAIN),
    ("mixed with space", around(lambda x: x.view(2, 2 * x.shape[1], 3, 6)), IMAGE, PLAIN),
    ("quantization stubs", lambda: odd.holding("stub", torch.ao.quantization.QuantStub()), IMAGE, PLAIN),
    ("half-precision buffer", lambda: odd.holding("table", torch.ones(3).half()), IMAGE, PLAIN),
    ("integer buffer", lambda: odd.holding("table", torch.arange(3)), IMAGE, PLAIN),
    ("infinite buffer", odd.masked_attention, IDS, {"embed": 16, "value": 16}),
    ("in a list", lambda: odd.Answering(lambda logits, hidden: [logits, None, "text", 3.0]), IMAGE, PLAIN),
    ("dataclass", lambda: odd.Answering(lambda logits, hidden: odd.Rich(logits, (1, None))), IMAGE, PLAIN),
    ("empty besides", lambda: odd.Answering(lambda logits, hidden: (logits, hidden[:0].sum())), IMAGE, PLAIN),
    ("a number", lambda: odd.Answering(lambda logits, hidden: logits.sum()), IMAGE, PLAIN | {"head": 3}),
    ("channels last", lambda: odd.plain().to(memory_format=torch.channels_last), IMAGE, PLAIN),
    ("inputs with gradients", odd.plain, IMAGE.clone().requires_grad_(), PLAIN),
]  # fmt: skip
"""What it is, network, inputs, groups that are expected."""


@pytest.mark.parametrize(("make", "inputs", "wanted"), [x[1:] for x in TAKEN], ids=[x[0] for x in TAKEN])
def test_odd_networks_are_pruned_rightly(make: Make, inputs: Any, wanted: dict[str, int]) -> None:
    network = network_of(make, inputs)
    assert widths(network) == wanted
    prove(network)
    checks.check_running(network)
    checks.check_storing(network)
    checks.check_training(network)
    again = network_of(make, inputs)
    assert again.fingerprint == network.fingerprint
    assert widths(again) == wanted


@pytest.mark.parametrize("change", odd.COMPUTED_WEIGHTS.values(), ids=odd.COMPUTED_WEIGHTS)
def test_computed_weights_become_parameters(change: odd.Change) -> None:
    network = network_of(lambda: odd.with_second(change))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = odd.with_second(change).eval()
    assert set(network.model.state_dict()) == set(odd.plain().state_dict())
    torch.testing.assert_close(network.model(IMAGE), model(IMAGE).detach())
    assert widths(network) == PLAIN
    prove(network)
    checks.check_storing(network)
    pruned = surgery.prune(network, {"first": torch.arange(4)})
    assert torch.equal(call(pickle.loads(pickle.dumps(pruned)), (IMAGE,)), call(pruned, (IMAGE,)))


def gradients(model: nn.Module) -> dict[str, bool]:
    return {name: parameter.requires_grad for name, parameter in model.named_parameters()}


def test_parameters_ask_for_gradients_where_they_did() -> None:
    model = odd.frozen()
    network, split = Network(model, IMAGE, multiple=1), Split(IMAGE, torch.zeros(len(IMAGE)))
    tables = PruningTables(network, split)
    builder = PlanBuilder(tables, Space(network), split)
    narrow = np.array([4, 3])
    assert not any(gradients(network.model).values())
    for pruned in (
        surgery.prune(network, {"first": torch.arange(4)}), PruningPlan.from_widths(network, narrow).apply(network),
        tables.pruned(narrow), builder.delivered(narrow).module,
    ):  # fmt: skip
        assert gradients(pruned) == gradients(model)


@pytest.mark.parametrize("change", odd.COMPUTED_WEIGHTS.values(), ids=odd.COMPUTED_WEIGHTS)
def test_weights_computed_from_frozen_ones_are_frozen(change: odd.Change) -> None:
    model = odd.with_second(change)
    model.second.requires_grad_(False)
    assert network_of(lambda: model).trainable == {f"{name}.{part}" for name in ("first", "head") for part in PARTS}
    model.second.requires_grad_(True)
    assert "second.weight" in network_of(lambda: model).trainable


def test_parameters_of_integers_do_no_harm() -> None:
    model = odd.holding("steps", nn.Parameter(torch.tensor([3, 4]), requires_grad=False))
    network = network_of(lambda: model)
    assert widths(network) == PLAIN
    pruned = surgery.prune(network, {"first": torch.arange(4)})
    assert gradients(pruned) == gradients(model)
    assert network.params([4, 6])[0] == sum(parameter.numel() for parameter in pruned.parameters())


def test_idle_vectors_keep_the_length_of_their_module() -> None:
    network = network_of(odd.Idle)
    assert widths(network) == {"first": 16}
    assert network.left_whole == {"head": OUTPUT, "third.weight": "it is not used with the example inputs"}
    prove(network)
    pruned = surgery.prune(network, {"first": torch.arange(4)}).eval()
    assert pruned.norm(pruned.first(IMAGE)).shape == (2, 4, 4, 4)


@pytest.mark.parametrize("pick", [None, lambda answer: answer.transpose(1, 2), lambda answer: answer[:, None] * 2])
def test_what_is_computed_of_the_outputs_is_an_output(pick: Callable[[torch.Tensor], torch.Tensor] | None) -> None:
    assert Network(odd.plain(), IMAGE, outputs=pick).left_whole == {"head": OUTPUT}


@pytest.mark.parametrize(
    ("make", "inputs", "group", "reason"),
    [
        (around(odd.NumpyTanh.apply), IMAGE, "first", "the pruned network fails"),
        (around(lambda x: x * float(np.abs(x.detach().numpy()).max())), IMAGE, "first", "mixes its channels"),
        (odd.Unregistered, normal(2, 6), "first", "others that cannot be removed"),
        (odd.Unused, IMAGE, "spare", "not used with the example inputs"),
        (odd.Unused, IMAGE, "number", "not used with the example inputs"),
        (odd.Complex, IMAGE, "first", "the network"),
        (lambda: odd.Answering(lambda logits, hidden: (logits, hidden)), IMAGE, "second", "output of the network"),
        (lambda: nn.Sequential(nn.Conv2d(3, 1, 1), nn.Conv2d(1, 8, 1), nn.Conv2d(8, 2, 1)), IMAGE, "0", "one channel"),
    ],
)
def test_what_cannot_be_followed_stays_whole(make: Make, inputs: Any, group: str, reason: str) -> None:
    network = network_of(make, inputs)
    assert reason in network.left_whole[group]
    assert group not in {name for each in network.groups for name in each.producers}
    prove_reference(network)


def poisoned_buffer() -> nn.Module:
    return odd.holding("table", torch.tensor([1.0, float("nan")]))


REFUSED: list[tuple[str, Make, Any, str]] = [
    ("half", lambda: odd.plain().half(), IMAGE.half(), r"first\.weight must be float32 or float64; float16 came"),
    ("bfloat16", lambda: odd.plain().bfloat16(), IMAGE, r"first\.weight must be .* bfloat16 came"),
    ("one in half", lambda: odd.with_second(nn.Module.half), IMAGE, r"second\.weight must be"),
    ("meta", lambda: odd.plain().to("meta"), IMAGE, r"first\.weight is on the meta device"),
    ("meta inputs", odd.plain, IMAGE.to("meta"), "must be on the network's device, cpu; meta came"),
    ("quantized", odd.quantized, IMAGE, r"1 \(Linear\) is quantized"),
    ("being quantized", odd.being_quantized, IMAGE, r"0 \(Conv2d\) prepares quantization"),
    ("quantized tensor", lambda: odd.holding("q", torch.quantize_per_tensor(IMAGE, 0.1, 0, torch.qint8)), IMAGE,
     "q is quantized"),
    ("scripted", lambda: torch.jit.script(nn.Sequential(nn.Conv2d(3, 8, 3))), IMAGE, "The network .* is scripted"),
    ("scripted inside", lambda: odd.with_second(torch.jit.script), IMAGE, r"second \(\w+\) is scripted"),
    ("traced inside", lambda: odd.with_second(lambda layer: torch.jit.trace(layer, normal(2, 8, 6, 6))), IMAGE,
     r"second \(\w+\) is scripted"),
    ("lazy", lambda: nn.Sequential(nn.Flatten(), nn.Linear(108, 8), nn.LazyLinear(4)), IMAGE, r"2 \(LazyLinear\)"),
    ("NaN buffer", poisoned_buffer, IMAGE, "table holds NaN"),
    ("infinite bias", odd.with_infinite_bias, IMAGE, r"first\.bias holds infinity"),
    ("CSR", lambda: odd.Graph(torch.eye(5).to_sparse_csr()), normal(5, 6), "adjacency is stored as torch.sparse_csr"),
    ("a lock", lambda: odd.holding("lock", threading.Lock()), IMAGE, "copying failed: cannot pickle"),
    ("no parameters", nn.ReLU, IMAGE, "must have real floating-point parameters"),
    ("complex only", lambda: nn.Linear(6, 8, dtype=torch.cfloat), normal(2, 6), "weight is complex64"),
    ("other type", odd.plain, IMAGE.double(), "must be in the weights' type, torch.float32; torch.float64 came"),
    ("integers", odd.plain, IMAGE.long(), r"must accept its example inputs \(\(2, 3, 6, 6\)\); its forward failed"),
    ("numbers for ids", odd.Pooled, IDS.float(), "must accept its example inputs"),
    ("channels", odd.plain, normal(2, 4, 6, 6), r"must accept its example inputs \(\(2, 4, 6, 6\)\)"),
    ("dimensions", odd.plain, normal(2, 3), "must accept its example inputs"),
    ("too many", odd.plain, (IMAGE, IMAGE), "must accept its example inputs"),
    ("another name", odd.plain, {"y": IMAGE}, "must accept its example inputs"),
    ("nothing", odd.plain, None, "non-empty batch"),
    ("numpy", odd.plain, np.zeros((2, 3, 6, 6)), "non-empty batch"),
    ("a path", odd.plain, "image.png", "non-empty batch"),
    ("NaN", odd.plain, IMAGE * float("nan"), "outputs must be finite"),
    ("answers nothing", lambda: odd.Answering(lambda logits, hidden: None), IMAGE, "it returned NoneType"),
    ("answers a set", lambda: odd.Answering(lambda logits, hidden: {"a"}), IMAGE, "it returned set"),
    ("random", odd.Sampling, normal(2, 6), "must answer the same inputs alike each time"),
    ("growing", odd.Louder, IMAGE, "must answer the same inputs alike each time"),
    ("nothing to prune", lambda: nn.BatchNorm2d(3), IMAGE, "at least one group"),
]  # fmt: skip
"""What it is, network, inputs, a part of the message."""


@pytest.mark.parametrize(("make", "inputs", "message"), [x[1:] for x in REFUSED], ids=[x[0] for x in REFUSED])
def test_what_is_refused_is_said_in_one_line(make: Make, inputs: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        network_of(make, inputs)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def looks(model: nn.Module) -> dict[str, Any]:
    """Everything about a model that its owner could miss."""
    seen: dict[str, Any] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        kept = {key: list(map(str, x)) if isinstance(x, dict | list) else repr(x) for key, x in vars(module).items()}
        seen[name] = (id(module), type(module), vars(type(module)).keys(), kept)
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, tensor in tensors:
        seen[f"{name}:"] = (id(tensor), tensor.requires_grad, tensor.dtype, tensor.grad, tensor.detach().tolist())
    return seen


TOUCHY: dict[str, Make] = {
    "plain": odd.plain, "training": lambda: odd.Dropping().train(), "hooks": odd.hooked, "frozen": odd.frozen,
    "counting": odd.Counting, "caching": odd.Caching, "louder": odd.Louder, "tied": odd.TiedLayers,
    "shared": odd.SharedModule, "compiled": odd.compiled_inside, "compiled forward": odd.compiled_forward,
    **{f"{name} ": lambda change=change: odd.with_second(change) for name, change in odd.COMPUTED_WEIGHTS.items()},
}  # fmt: skip


@pytest.mark.parametrize("make", TOUCHY.values(), ids=TOUCHY)
def test_the_model_given_stays_as_it_was(make: Make) -> None:
    model = make()
    inputs = normal(2, 6) if isinstance(model, odd.TiedLayers) else IMAGE
    before = looks(model)
    try:
        network = Network(model, inputs, multiple=1)
        surgery.prune(network, surgery.leading_channels(network, [1] * len(network.groups)))
    except NetworkError:
        pass
    assert looks(model) == before


def test_the_world_around_stays_as_it_was() -> None:
    model, fast = odd.Pooled(), torch.backends.mha.get_fastpath_enabled()
    state = torch.random.get_rng_state()
    Network(model, IDS)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    "context",
    [torch.no_grad, torch.enable_grad, torch.inference_mode],
)
def test_it_does_not_matter_where_a_network_is_made(context: Callable[[], Any]) -> None:
    with context():
        network = network_of(odd.plain)
    assert network.fingerprint == network_of(odd.plain).fingerprint
    prove(network)


def test_copies_share_no_state() -> None:
    model = odd.Counting()
    accepted_copy(model)(IMAGE)
    assert (model.number, int(model.calls), model.seen) == (0, 0, [])


def test_a_module_under_two_names() -> None:
    network = network_of(odd.SharedModule)
    assert widths(network) == {"first": 8}
    prove(network)


def test_layers_that_share_a_weight() -> None:
    network = network_of(odd.TiedLayers, normal(2, 6))
    assert widths(network) == {"first": 16}
    prove(network)


def test_inputs_stay_as_they_were() -> None:
    given = IMAGE.clone()
    network = network_of(odd.InPlace, given)
    assert torch.equal(given, IMAGE)
    assert widths(network) == PLAIN
    pruned = surgery.prune(network, {"first": torch.arange(4)}).eval()
    assert torch.equal(call(pruned, network.example_inputs), call(pruned, network.example_inputs))
    prove_reference(network)


def test_what_a_first_call_leaves_in_a_network_stays_whole() -> None:
    network = network_of(odd.Caching)
    assert "combines its channels with others that cannot be removed" in network.left_whole["first"]
    assert widths(network) == {"second": 6}
    prove(network)


@pytest.mark.parametrize("reason", ["first line\nsecond line", ""])
def test_failures_inside_are_told_in_one_line(reason: str) -> None:
    def fail(x: torch.Tensor) -> torch.Tensor:
        if len(x) == 3:
            raise ZeroDivisionError(reason)
        return x

    with pytest.raises(NetworkError, match=r"first line|ZeroDivisionError") as caught:
        network_of(around(fail), normal(3, 3, 6, 6))
    assert "\n" not in str(caught.value)


def test_sparse_inputs() -> None:
    assert widths(network_of(odd.GivenGraph, (normal(5, 6), torch.eye(5).to_sparse()))) == {"first": 16, "second": 8}


@pytest.mark.parametrize(
    "answer", [lambda logits, hidden: (1000 * logits).long(), lambda logits, hidden: logits[:0]], ids=["ids", "empty"]
)
def test_what_answers_cannot_show_is_not_pruned(answer: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
    """The first layer cannot be pruned: the largest of all its channels leaves torch as a number."""

    def make() -> nn.Module:
        model = odd.Answering(answer)
        model.operation = lambda x: x * float(np.abs(x.detach().numpy()).max())
        return model

    assert "first" not in groups_or_refusal(make)


def test_layers_not_used_by_a_decision_are_named() -> None:
    with pytest.raises(NetworkError, match="decides on the values it computes"):
        network_of(lambda: odd.Deciding(-100.0))
