"""What must hold for pruned networks: each function raises AssertionError and says what is wrong."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import run_onnx
from rlprune.networks import surgery
from rlprune.networks.groups import Group
from rlprune.networks.inputs import batch_size, call, map_tensors, tensors_in
from rlprune.networks.network import Network
from tests.architectures.architecture import Architecture
from tests.architectures.counting import counted_macs

SEEDS = (0, 1, 2)
EXACT = 1e-6  # in float64; a few modules compute in float32 whatever they are given


def as_trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with vectors and batch statistics that are not those of a new layer, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.2 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.mul_(0.5 + torch.rand(buffer.shape, generator=generator))
    return model.eval()


def network_of(architecture: Architecture) -> Network:
    """The architecture, seeded, with every width allowed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(as_trained(architecture.build()), architecture.inputs(), multiple=1)


def random_channels(network: Network, widths: Sequence[int], seed: int) -> dict[str, torch.Tensor]:
    """So many channels of each group, chosen at random, ascending."""
    generator = torch.Generator().manual_seed(seed)
    return {
        group.name: torch.randperm(group.width, generator=generator)[:width].sort().values
        for group, width in zip(network.groups, widths, strict=True)
    }


def width_vectors(network: Network) -> Iterator[tuple[str, list[int]]]:
    """Every group halved alone, all groups at their narrowest, and all at random widths."""
    dense = [group.width for group in network.groups]
    for index, group in enumerate(network.groups):
        yield f"half of {group.name}", [*dense[:index], max(1, group.width // 2), *dense[index + 1 :]]
    yield "the narrowest of all", [group.widths[0] for group in network.groups]
    yield "two of each", [min(2, group.width) for group in network.groups]
    for seed in SEEDS:
        generator = np.random.default_rng(seed)
        yield f"random widths {seed}", [int(generator.choice(group.widths)) for group in network.groups]


@lru_cache(maxsize=1)
def pruned_networks(network: Network) -> list[tuple[str, list[int], nn.Module]]:
    """For each of :func:`width_vectors`: what it is, the widths, the pruned network in evaluation mode."""
    return [(what, widths, cut(network, widths, what)) for what, widths in width_vectors(network)]


def check_running(network: Network) -> None:
    """Pruned networks answer in the shapes of the dense one."""
    wanted = structure(answer(network.model, network))
    for what, _, pruned in pruned_networks(network):
        shapes = structure(answer(pruned, network, what))
        assert shapes == wanted, f"with {what} the answer is {shapes} where the dense network gives {wanted}"


def check_attributes(network: Network) -> None:
    """Modules say of themselves what is true."""
    for what, _, pruned in pruned_networks(network):
        for name, module in pruned.named_modules():
            for attribute, size in said_sizes(module).items():
                said = getattr(module, attribute)
                assert said == size, f"with {what}, {name}.{attribute} says {said}; its tensors have {size}"


def check_training(network: Network) -> None:
    """Pruned networks run forward and backward, and no parameter is cut off that learned in the dense network."""
    learning = learning_parameters(network.model, network)
    for what, _, pruned in pruned_networks(network):
        missing = learning - learning_parameters(pruned, network, what)
        assert not missing, f"with {what} these parameters get no gradient: {sorted(missing)}"


def check_params(network: Network) -> None:
    """Parameters, and sizes of all tensors, are as predicted."""
    for what, widths, pruned in pruned_networks(network):
        params = sum(parameter.numel() for parameter in pruned.parameters())
        told = float(network.params(widths)[0])
        assert told == params, f"with {what} there are {params} parameters; {told} were predicted"
        state = dict(pruned.named_parameters(remove_duplicate=False)) | dict(pruned.named_buffers())
        for layer, out, into in zip(network.layers, *(x[0] for x in network.axis_widths(widths)), strict=True):
            sizes = {"out": out, "in": into}
            for key, sides in layer.tensors.items():
                for dim, side in enumerate(sides):
                    found = state[key].shape[dim]
                    assert side is None or found == sizes[side], (
                        f"with {what}, {key} has {found} along {dim}; {sizes[side]} were predicted"
                    )


def check_macs(network: Network) -> None:
    """Multiply-adds are what torch counts, of the dense network and of pruned ones.

    Not where a width is one: torch then multiplies without a matrix product, and its counter does not see that.
    """
    dense = [group.width for group in network.groups]
    for what, widths, module in [("all channels", dense, network.model), *pruned_networks(network)]:
        if 1 not in widths:
            counted, told = counted_macs(module, network.example_inputs), float(network.macs(widths)[0])
            assert abs(told - counted) <= 1e-6 * counted, f"with {what} there are {counted} MACs; {told} were predicted"


def check_storing(network: Network) -> None:
    """A copy into which the stored tensors are loaded computes the same."""
    for what, _, pruned in pruned_networks(network):
        twin = copy.deepcopy(pruned)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.uniform_(-0.1, 0.1)
        twin.load_state_dict(pruned.state_dict())
        error = difference(answer(twin, network, what), answer(pruned, network, what))
        assert error == 0, f"with {what}, a loaded copy differs by {error:.1e} of the largest output"


def cut(network: Network, widths: Sequence[int], what: str, seed: int = 0) -> nn.Module:
    try:
        return surgery.prune(network, random_channels(network, widths, seed)).eval()
    except Exception as reason:
        raise AssertionError(f"cutting to {what} fails: {reason!r}") from reason


def answer(module: nn.Module, network: Network, what: str = "all channels") -> Any:
    """Output of ``module`` for the network's example inputs, without gradients."""
    try:
        with torch.no_grad(), precision(next(network.model.parameters()).dtype):
            return call(module, network.example_inputs)
    except Exception as reason:
        raise AssertionError(f"the network with {what} does not run: {reason!r}") from reason


@contextlib.contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    """Constants that a network makes are of this type."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def learning_parameters(module: nn.Module, network: Network, what: str = "all channels") -> set[str]:
    """Names of the parameters that get a gradient in training mode."""
    module = copy.deepcopy(module).requires_grad_(True).train()
    try:
        outputs = [x for x in tensors_in(call(module, network.example_inputs)) if x.requires_grad]
        torch.stack([x.square().mean() for x in outputs]).sum().backward()
    except Exception as reason:
        raise AssertionError(f"the network with {what} does not train: {reason!r}") from reason
    return {name for name, parameter in module.named_parameters() if parameter.grad is not None}


def structure(value: Any) -> Any:
    """Nesting, shapes and types of an answer."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, Mapping):
        return type(value).__name__, {key: structure(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value).__name__, [structure(item) for item in value]
    return type(value).__name__


def said_sizes(module: nn.Module) -> dict[str, Any]:
    """Attributes of torch's common modules -> what their tensors say."""
    if isinstance(module, nn.Linear):
        return {"out_features": len(module.weight), "in_features": module.weight.shape[1]}
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return {"out_channels": len(module.weight), "in_channels": module.weight.shape[1] * module.groups}
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return {"out_channels": module.weight.shape[1] * module.groups, "in_channels": len(module.weight)}
    if isinstance(module, nn.modules.batchnorm._NormBase) and module.weight is not None:
        return {"num_features": len(module.weight)}
    if isinstance(module, nn.LayerNorm) and module.weight is not None:
        return {"normalized_shape": tuple(module.weight.shape)}
    if isinstance(module, nn.GroupNorm) and module.weight is not None:
        return {"num_channels": len(module.weight)}
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return {"embedding_dim": module.weight.shape[1]}
    return {}


def difference(left: Any, right: Any) -> float:
    """Largest difference of two answers, as a share of the largest output of the second; NaN is infinite."""
    worst = 0.0
    for a, b in zip(tensors_in(left), tensors_in(right), strict=True):
        if a.shape != b.shape:
            return float("inf")
        if b.is_floating_point() and b.numel():
            error = float((a - b).abs().max()) / (float(b.abs().max()) or 1.0)
            worst = max(worst, error if error == error else float("inf"))
    return worst


def in_float64(network: Network) -> Network:
    """The same network, exactly: what is wrong by a little, as in attention that is almost uniform, must not hide."""
    exact = network.with_model(copy.deepcopy(network.model).double())
    exact.example_inputs = map_tensors(lambda x: x.double() if x.is_floating_point() else x, network.example_inputs)
    return exact


def check_keeping_all(network: Network) -> None:
    """Keeping every channel gives the dense network."""
    exact = in_float64(network)
    pruned = surgery.prune(exact, {group.name: torch.arange(group.width) for group in network.groups}).eval()
    error = difference(answer(pruned, exact), answer(exact.model, exact))
    assert error <= EXACT, f"with all channels the answer differs by {error:.1e} of the largest output"


def check_permutation(network: Network) -> None:
    """The order of channels is of no consequence: all groups shuffled."""
    exact, generator = in_float64(network), torch.Generator().manual_seed(0)
    order = {group.name: torch.randperm(group.width, generator=generator) for group in network.groups}
    error = difference(answer(surgery.prune(exact, order).eval(), exact), answer(exact.model, exact))
    assert error <= EXACT, f"with all channels shuffled the answer differs by {error:.1e} of the largest output"


def onnx_answer(module: nn.Module, network: Network) -> list[torch.Tensor]:
    """Outputs of ``module``, exported, in ONNX Runtime."""
    batch = batch_size(network.example_inputs)
    model = export_onnx_bytes(module, network.example_inputs, batch=batch)
    outputs = run_onnx(model, input_arrays(model, network.example_inputs, batch))
    return [torch.from_numpy(output) for output in outputs]


def halves(group: Group, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Half of a group's channels at random, and the others, both ascending."""
    order = torch.randperm(group.width, generator=torch.Generator().manual_seed(seed))
    middle = max(1, group.width // 2)
    return order[:middle].sort().values, order[middle:].sort().values
