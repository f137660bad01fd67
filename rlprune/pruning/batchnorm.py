"""BatchNorm statistics of a pruned network, measured anew (EagleEye, Li et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from rlprune.inputs import Inputs, call
from rlprune.layers import BatchNorm


def use_batch_statistics(model: nn.Module) -> set[str]:
    """Drop the running statistics, so that each batch is normalised by its own, also in eval mode.

    Returns:
        The ``state_dict`` keys of what was dropped.
    """
    dropped = set()
    for name, norm in model.named_modules():
        if isinstance(norm, BatchNorm) and norm.track_running_stats:
            norm.running_mean = norm.running_var = None
            dropped |= {f"{name}.running_mean", f"{name}.running_var"}
    return dropped


def reestimate(model: nn.Module, batches: Iterable[Inputs]) -> None:
    """Replace running means and variances of ``model`` by their averages over ``batches``. Nothing else changes."""
    norms = [m for m in model.modules() if isinstance(m, BatchNorm | nn.SyncBatchNorm) and m.track_running_stats]
    if not norms:
        return
    modes = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        with torch.no_grad():
            for inputs in batches:
                call(model, inputs)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
