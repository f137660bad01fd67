"""BatchNorm statistics of a pruned network, measured anew (EagleEye, Li et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from rlprune.layers import BatchNorm


def reestimate(model: nn.Module, batches: Iterable[tuple[torch.Tensor, ...]]) -> None:
    """Replace running means and variances of ``model`` by their averages over ``batches``. Nothing else changes."""
    norms = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    if not norms:
        return
    training = model.training
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for inputs in batches:
            model(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(training)
