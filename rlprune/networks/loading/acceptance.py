"""Which models and inputs are taken: a private copy of a plain module in floating point, or one sentence."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from rlprune.errors import NetworkError, first_line
from rlprune.networks.checking.verification import differ
from rlprune.networks.inputs import Inputs, call, tensors_in

PRECISIONS = (torch.float32, torch.float64)


def accepted_copy(model: Any) -> nn.Module:
    """A copy of ``model`` in evaluation mode, as plain modules with plain parameters.

    Compiled modules become what they were before compilation. Weights that hooks or parametrizations compute (weight
    norm, spectral norm, pruning masks, LoRA) become parameters that hold their present value, and ask for gradients
    where one of those that they are computed from does.

    Raises:
        NetworkError: it is no module, is scripted, quantized, lazy, in half precision, on ``meta``, holds NaN, or
            cannot be copied; the module or tensor is named.
    """
    if not isinstance(model, nn.Module):
        raise NetworkError(f"A network must be a torch.nn.Module; {type(model).__name__} came.")
    model = getattr(model, "_orig_mod", model)
    for name, module in model.named_modules():
        if (reason := _refused(module)) is not None:
            raise NetworkError(f"{name or 'The network'} ({type(module).__name__}) {reason}")
    for name, parameter in model.named_parameters():
        if (reason := _bad_tensor(parameter) or _bad_weight(parameter)) is not None:
            raise NetworkError(f"{name} {reason}")
    for name, buffer in model.named_buffers():
        if (reason := _bad_tensor(buffer)) is not None:
            raise NetworkError(f"{name} {reason}")
    try:
        private = _uncompiled(_copied(model)).eval()
    except Exception as reason:
        raise NetworkError(
            f"A network must be a plain module that can be copied; copying failed: {first_line(reason)}. Take out "
            "of its attributes what copy.deepcopy cannot copy."
        ) from reason
    with torch.no_grad():
        for module in private.modules():
            _compute_weights_once(module)
    return private


def _copied(model: nn.Module) -> nn.Module:
    """A copy in which tensors with a history, which cannot be copied, are constants."""
    known = {
        id(tensor): tensor.detach().clone()
        for module in model.modules()
        for tensor in tensors_in(vars(module))
        if not tensor.is_leaf
    }
    return copy.deepcopy(model, known)


def _uncompiled(module: nn.Module) -> nn.Module:
    """What ``torch.compile`` was given, at any depth; the module is changed in place."""
    while isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
        module = inner
    if hasattr(vars(module).get("forward"), "_torchdynamo_orig_callable"):
        del module.forward
    for name, child in list(module.named_children()):
        setattr(module, name, _uncompiled(child))
    return module


def _compute_weights_once(module: nn.Module) -> None:
    """Make computed weights of a module plain parameters."""
    if parametrize.is_parametrized(module):
        _drop_parametrizations(module)
        _expect_plain_weights(module)
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            learned = any(getattr(module, hook.name + part).requires_grad for part in ("_g", "_v"))
            remove_weight_norm(module, hook.name)
            getattr(module, hook.name).requires_grad_(learned)
        elif isinstance(hook, SpectralNorm):
            learned = getattr(module, f"{hook.name}_orig").requires_grad
            remove_spectral_norm(module, hook.name)
            getattr(module, hook.name).requires_grad_(learned)
            _expect_plain_weights(module)
        elif isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)


def _expect_plain_weights(module: nn.Module) -> None:
    """Take away what torch leaves of computed weights: hooks that ask loaded states for them, and may not pickle."""
    hooks = module._load_state_dict_pre_hooks
    for key, hook in list(hooks.items()):
        made = getattr(hook, "hook", hook)
        if (getattr(made, "__module__", None) or "").startswith("torch.nn.utils."):
            del hooks[key]


def _drop_parametrizations(module: nn.Module) -> None:
    """What ``parametrize.remove_parametrizations`` does, which also changes the class that the caller's model has."""
    lists = module.parametrizations
    assert isinstance(lists, nn.ModuleDict)
    values = {
        name: nn.Parameter(getattr(module, name).detach().clone(), any(p.requires_grad for p in own.parameters()))
        for name, own in lists.items()
    }
    module.__class__ = type(module).__bases__[0]
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, value)


def _refused(module: nn.Module) -> str | None:
    if isinstance(module, torch.jit.ScriptModule):
        return "is scripted, and its tensors cannot be cut. Give the network as it was before torch.jit."
    origin = type(module).__module__
    if "quantized" in origin.split(".") and not origin.startswith("rlprune"):
        return "is quantized, and its tensors cannot be cut. Prune the network first and quantize the result."
    if {"observer", "fake_quantize", "qat"} & set(origin.split(".")):
        return "prepares quantization, with ranges of all channels. Prune the network first and prepare the result."
    if any(isinstance(p, nn.UninitializedParameter) for p in module.parameters(recurse=False)):
        return "is lazy and has no size yet. Run the network once before giving it."
    return None


def _bad_tensor(tensor: torch.Tensor) -> str | None:
    if type(tensor.data) is not torch.Tensor:
        return f"is a {type(tensor.data).__name__}, which cannot be cut. Give the network with plain tensors."
    if tensor.is_meta:
        return "is on the meta device and holds no values. Load the weights first."
    if tensor.is_quantized:
        return "is quantized. Prune the network in float32 first and quantize the result."
    if tensor.layout not in (torch.strided, torch.sparse_coo):
        return f"is stored as {tensor.layout}, which torch cannot copy. Store it dense or with to_sparse()."
    if tensor.is_floating_point() and bool(torch.isnan(_values(tensor)).any()):
        return "holds NaN. Train or load the network again."
    return None


def _bad_weight(tensor: torch.Tensor) -> str | None:
    """What a buffer may be and a parameter may not: masks hold infinity, and some tables are in half precision."""
    if not tensor.is_floating_point():
        return None
    if tensor.dtype not in PRECISIONS:
        kind = str(tensor.dtype).removeprefix("torch.")
        return f"must be float32 or float64; {kind} came. Call .float() first; the pruned network can go back."
    if not bool(torch.isfinite(_values(tensor)).all()):
        return "holds infinity; weights must be finite. Train or load the network again."
    return None


def _values(tensor: torch.Tensor) -> torch.Tensor:
    """The stored values, of a sparse tensor too."""
    return tensor.detach() if tensor.layout == torch.strided else tensor.detach()._values()


def check_repeatable(model: nn.Module, inputs: Inputs, outputs: Callable[[Any], Any]) -> None:
    """Refuse a network whose answer says nothing about its next one. It keeps what a first call leaves in it.

    Raises:
        NetworkError: it answers the same inputs otherwise the second time.
    """
    try:
        with torch.no_grad():
            first, second = ([x.clone() for x in tensors_in(outputs(call(model, inputs)))] for _ in range(2))
        alike = len(first) == len(second) and all(map(_alike, first, second))
    except Exception:
        return  # whoever runs it next says what fails
    if not alike:
        raise NetworkError(
            "A network must answer the same inputs alike each time; the second answer of this one is another. Let its "
            "evaluation mode draw no random numbers, and keep nothing of an earlier call."
        )


def _alike(left: torch.Tensor, right: torch.Tensor) -> bool:
    if left.shape != right.shape or not left.is_floating_point() or not left.numel():
        return torch.equal(left, right)
    return not differ(left, right)


def check_inputs(model: nn.Module, inputs: Inputs) -> None:
    """Refuse inputs on another device or in another floating-point type than the weights.

    Raises:
        NetworkError: says which.
    """
    weights = [p for p in model.parameters() if p.is_floating_point()]
    if not weights:
        some = next((f"; {name} is {str(p.dtype).removeprefix('torch.')}" for name, p in model.named_parameters()), "")
        raise NetworkError(f"A network must have real floating-point parameters; this one has none{some}.")
    devices, types = {p.device for p in weights}, {p.dtype for p in weights}
    given = list(tensors_in(inputs))
    for tensor in given:
        if tensor.device not in devices:
            raise NetworkError(
                f"Example inputs must be on the network's device, {weights[0].device}; {tensor.device} came."
            )
    real = [tensor.dtype for tensor in given if tensor.is_floating_point()]
    if real and not types & set(real):
        raise NetworkError(
            f"Example inputs must be in the weights' type, {weights[0].dtype}; {real[0]} came. Cast one of them."
        )
