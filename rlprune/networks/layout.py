"""Memory layout: convolutions on the CPU run faster with channels last."""

from __future__ import annotations

import torch
from torch import nn

from rlprune.networks.inputs import Inputs, call, map_tensors


def as_channels_last(tensor: torch.Tensor) -> torch.Tensor:
    """The same values with channels last in memory where the tensor has four dimensions, else the tensor itself.

    With one channel or a 1 x 1 kernel both layouts are the same bytes, and ``contiguous`` would keep the strides from
    which torch chooses its kernels; a copy gets those of the asked layout.
    """
    if tensor.dim() != 4:
        return tensor
    return torch.empty_like(tensor, memory_format=torch.channels_last).copy_(tensor)


def to_channels_last(model: nn.Module) -> nn.Module:
    """Store the weights of 2-d convolutions with channels last, in place."""
    for parameter in model.parameters():
        parameter.data = as_channels_last(parameter.data)
    return model


def to_contiguous(model: nn.Module) -> nn.Module:
    """Undo :func:`to_channels_last`, in place."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = torch.empty_like(parameter, memory_format=torch.contiguous_format).copy_(parameter)
    return model


def runs_channels_last(model: nn.Module, inputs: Inputs) -> bool:
    """Whether a model accepts the layout: ``x.view(n, -1)`` behind a convolution, for one, does not.

    Args:
        model: stored with channels last.
        inputs: arguments it accepts otherwise: a batch.
    """
    try:
        with torch.inference_mode():
            call(model, map_tensors(as_channels_last, inputs))
    except RuntimeError:
        return False
    return True
