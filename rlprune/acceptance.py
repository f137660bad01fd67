"""Which models and inputs are taken: a private copy of a plain module in floating point, or one sentence."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from rlprune.errors import NetworkError
from rlprune.inputs import Inputs, tensors_in

PRECISIONS = (torch.float32, torch.float64)


def accepted_copy(model: Any) -> nn.Module:
    """A copy of ``model`` in evaluation mode without gradients; a compiled module as it was before compilation.

    Raises:
        NetworkError: it is no module, is scripted, quantized, lazy, in half precision, on ``meta``, holds NaN, or
            cannot be copied; the module or tensor is named.
    """
    if not isinstance(model, nn.Module):
        raise NetworkError(f"A network must be a torch.nn.Module; {type(model).__name__} came.")
    model = _uncompiled(model)
    for name, module in model.named_modules():
        if (reason := _refused(module)) is not None:
            raise NetworkError(f"{name or 'The network'} ({type(module).__name__}) {reason}")
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if (reason := _bad_tensor(tensor)) is not None:
            raise NetworkError(f"{name} {reason}")
    try:
        private: nn.Module = copy.deepcopy(model).eval().requires_grad_(False)
        return private
    except Exception as reason:
        raise NetworkError(
            f"A network must be a plain module that can be copied; copying failed: {str(reason).splitlines()[0]} Give "
            "it before scripting, and remove hooks that compute weights (remove_weight_norm, prune.remove)."
        ) from reason


def _uncompiled(model: nn.Module) -> nn.Module:
    """What ``torch.compile`` was given, at any depth; the caller's module is not changed."""
    inner: nn.Module = getattr(model, "_orig_mod", model)
    compiled = [name for name, module in inner.named_modules() if hasattr(module, "_orig_mod")]
    if not compiled:
        return inner
    inner = copy.deepcopy(inner)
    for name in compiled:
        parent, _, child = name.rpartition(".")
        setattr(inner.get_submodule(parent), child, inner.get_submodule(name)._orig_mod)
    return inner


def _refused(module: nn.Module) -> str | None:
    if isinstance(module, torch.jit.ScriptModule):
        return "is scripted, and its tensors cannot be cut. Give the network as it was before torch.jit."
    if "quantized" in type(module).__module__.split(".") and not type(module).__module__.startswith("rlprune"):
        return "is quantized, and its tensors cannot be cut. Prune the network first and quantize the result."
    if any(isinstance(p, nn.UninitializedParameter) for p in module.parameters(recurse=False)):
        return "is lazy and has no size yet. Run the network once before giving it."
    return None


def _bad_tensor(tensor: torch.Tensor) -> str | None:
    if tensor.is_meta:
        return "is on the meta device and holds no values. Load the weights first."
    if tensor.is_quantized:
        return "is quantized. Prune the network in float32 first and quantize the result."
    if tensor.is_floating_point():
        if tensor.dtype not in PRECISIONS:
            kind = str(tensor.dtype).removeprefix("torch.")
            return f"must be float32 or float64; {kind} came. Call .float() first; the pruned network can go back."
        if not torch.isfinite(tensor).all():
            return "holds NaN or infinity; weights must be finite. Train or load the network again."
    return None


def check_inputs(model: nn.Module, inputs: Inputs) -> None:
    """Refuse inputs on another device or in another floating-point type than the weights.

    Raises:
        NetworkError: says which.
    """
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)
    if weight is None:
        raise NetworkError("A network must have parameters; this one has none.")
    for tensor in tensors_in(inputs):
        if tensor.device != weight.device:
            raise NetworkError(
                f"Example inputs must be on the network's device, {weight.device}; {tensor.device} came."
            )
        if tensor.is_floating_point() and tensor.dtype != weight.dtype:
            raise NetworkError(
                f"Example inputs must be in the weights' type, {weight.dtype}; {tensor.dtype} came. Cast one of them."
            )
