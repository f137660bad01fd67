"""BatchNorms folded into the convolutions before them, plan by plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from rlprune.networks.inputs import Inputs, call
from rlprune.networks.layers import BatchNorm, Convolution

Pair = tuple[str, str]
"""Names of a convolution and of the BatchNorm that takes its output."""


def conv_norm_pairs(model: nn.Module, inputs: Inputs) -> list[Pair]:
    """Convolutions whose output object goes straight into a BatchNorm with running statistics, each called once.

    What else reads or changes that output is not seen: compare the outputs of the folded network.
    """
    outputs: dict[int, tuple[str, torch.Tensor]] = {}  # holding the tensors keeps their ids from being used again
    pairs: list[Pair] = []
    calls: Counter[str] = Counter()

    def after_convolution(name: str, output: torch.Tensor) -> None:
        calls[name] += 1
        outputs[id(output)] = (name, output)

    def before_norm(name: str, taken: torch.Tensor) -> None:
        calls[name] += 1
        if id(taken) in outputs:
            pairs.append((outputs[id(taken)][0], name))

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, Convolution):
            hooks.append(module.register_forward_hook(lambda _m, _x, y, name=name: after_convolution(name, y)))
        elif isinstance(module, BatchNorm) and module.running_mean is not None:
            hooks.append(module.register_forward_pre_hook(lambda _m, x, name=name: before_norm(name, x[0])))
    try:
        with torch.inference_mode():
            call(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1]


def drop_norms(model: nn.Module, pairs: Sequence[Pair]) -> dict[str, float]:
    """Put an identity in place of each BatchNorm of ``pairs``; gives their ``eps`` by name."""
    found = {}
    for _, name in pairs:
        norm = model.get_submodule(name)
        assert isinstance(norm, BatchNorm)
        found[name] = norm.eps
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, nn.Identity())
    return found


def folded(
    tensors: Mapping[str, torch.Tensor],
    dense: Mapping[str, torch.Tensor],
    pairs: Sequence[Pair],
    eps: Mapping[str, float],
) -> dict[str, torch.Tensor]:
    """The tensors of a plan without the BatchNorms of ``pairs``.

    Args:
        tensors: ``state_dict`` key -> tensor of what the plan changes.
        dense: the same of all that it may leave as it is.
        eps: of the BatchNorms, by name.
    """
    known = {**dense, **tensors}
    result = {key: tensor for key, tensor in tensors.items() if key.rpartition(".")[0] not in eps}
    for convolution, norm in pairs:
        weight, bias = fuse_conv_bn_weights(
            known[f"{convolution}.weight"],
            known.get(f"{convolution}.bias"),
            known[f"{norm}.running_mean"],
            known[f"{norm}.running_var"],
            eps[norm],
            known.get(f"{norm}.weight"),
            known.get(f"{norm}.bias"),
        )
        result |= {f"{convolution}.weight": weight.detach(), f"{convolution}.bias": bias.detach()}
    return result
