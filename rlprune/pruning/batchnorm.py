"""BatchNorm statistics of a pruned network, measured anew (EagleEye, Li et al., ECCV 2020).

Statistics are blends: a *share* of 1 takes those of the samples, 0 keeps the network's own running ones.
One that is called more than once in a forward pass always keeps its own (:func:`shared`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from rlprune.networks.contexts import evaluated, hooked
from rlprune.networks.inputs import Inputs, call
from rlprune.networks.layers import BatchNorm

Norm = BatchNorm | nn.SyncBatchNorm
Moments = tuple[torch.Tensor, torch.Tensor]
"""Mean and variance of every channel."""


def tracking(model: nn.Module, keep: Collection[str] = ()) -> list[Norm]:
    """The BatchNorms that keep running statistics, but for those with a name in ``keep``."""
    named = list(model.named_modules(remove_duplicate=False))
    left_out = {module for name, module in named if name in keep}
    norms = [module for module in model.modules() if isinstance(module, Norm) and module not in left_out]
    return [norm for norm in norms if norm.running_mean is not None]


def shared(model: nn.Module, inputs: Inputs) -> frozenset[str]:
    """All names of BatchNorms that one forward pass calls more than once.

    Their running statistics are those of all calls together: no single call of a search, nor of a pass that measures,
    is normalised as they are in the delivered network.
    """
    calls: Counter[nn.Module] = Counter()
    count = (norm.register_forward_pre_hook(lambda norm, _: calls.update([norm])) for norm in tracking(model))
    with hooked(count), torch.no_grad():
        call(model, inputs)
    return frozenset(name for name, module in model.named_modules(remove_duplicate=False) if calls[module] > 1)


def use_batch_statistics(model: nn.Module, share: float = 1.0, keep: Collection[str] = ()) -> None:
    """Let BatchNorms, but for those in ``keep``, blend each batch's own statistics into theirs, also in eval mode."""
    if share:
        for norm in tracking(model, keep):
            setattr(norm, "forward", partial(_normalise, norm, share))  # noqa: B010


def reestimate(model: nn.Module, batches: Iterable[Inputs], share: float = 1.0, keep: Collection[str] = ()) -> None:
    """Blend the averages over ``batches`` into the running means and variances of ``model``. Nothing else changes.

    BatchNorms with a name in ``keep`` stay as they are. While the others are measured, each batch is normalised by the
    same blend of its own statistics.
    """
    heard: dict[Norm, list[Moments]] = {norm: [] for norm in tracking(model, keep) if share}
    if not heard:
        return
    try:
        for norm, moments in heard.items():
            setattr(norm, "forward", partial(_normalise, norm, share, heard=moments))  # noqa: B010
        with evaluated(model):
            for inputs in batches:
                call(model, inputs)
    finally:
        for norm in heard:
            vars(norm).pop("forward", None)
    for norm, moments in heard.items():
        for own, measured in zip(_running(norm), zip(*moments, strict=True), strict=bool(moments)):
            own.lerp_(torch.stack(measured).mean(0), share)


def _running(norm: Norm) -> Moments:
    assert norm.running_mean is not None  # of those that are ``tracking``
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var


def _normalise(norm: Norm, share: float, inputs: torch.Tensor, heard: list[Moments] | None = None) -> torch.Tensor:
    """What a BatchNorm answers whose statistics are a blend of its running ones and those of the batch.

    Of one value a channel there is no variance: then the running ones stay.
    """
    apply = partial(functional.batch_norm, inputs, weight=norm.weight, bias=norm.bias, eps=norm.eps)
    own_mean, own_variance = _running(norm)
    if inputs.numel() == inputs.shape[1]:
        return apply(own_mean, own_variance)
    if share == 1 and heard is None:
        return apply(None, None, training=True)
    mean, variance = torch.zeros_like(own_mean), torch.zeros_like(own_variance)
    answer = apply(mean, variance, training=True, momentum=1.0)  # which writes the batch's own into both
    if heard is not None:
        heard.append((mean, variance))
    return answer if share == 1 else apply(own_mean.lerp(mean, share), own_variance.lerp(variance, share))
