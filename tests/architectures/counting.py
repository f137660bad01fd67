"""Multiply-adds counted by torch itself."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rlprune.networks.inputs import as_inputs, batch_size, call


def _matrix_times_vector(matrix: torch.Size, vector: torch.Size, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


VECTOR_PRODUCTS = {torch.ops.aten.mv: _matrix_times_vector, torch.ops.aten.dot: _matrix_times_vector}
"""Torch's counter leaves these out."""


def counted_macs(module: nn.Module, example_inputs: Any) -> float:
    """Multiply-adds of one sample in convolutions and matrix products.

    Fused kernels are switched off, because torch's counter does not see into them.
    """
    inputs, module = as_inputs(example_inputs), copy.deepcopy(module).requires_grad_(False)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.no_grad(),
            torch.backends.mkldnn.flags(enabled=False),
            torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
            FlopCounterMode(display=False, custom_mapping=VECTOR_PRODUCTS) as counter,
        ):
            call(module, inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() / 2 / batch_size(inputs)
