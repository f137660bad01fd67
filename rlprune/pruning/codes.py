"""Weights as whole numbers: symmetric, one scale per output channel (Jacob et al., CVPR 2018, without zero points)."""

from __future__ import annotations

import torch
from torch import Tensor

from rlprune.errors import ConfigError, NetworkError

FEWEST_BITS, MOST_BITS = 2, 8


def largest_code(bits: int) -> int:
    """2^(bits-1) - 1: codes reach from its negative to it, so that a weight and its negative are treated alike.

    Raises:
        ConfigError: ``bits`` is not from 2 to 8.
    """
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise ConfigError(f"Codes have {FEWEST_BITS} to {MOST_BITS} bits; {bits} came. Choose 8 or 4.")
    return int(2 ** (bits - 1)) - 1


def quantize(weight: Tensor, bits: int, out_dim: int) -> tuple[Tensor, Tensor]:
    """``codes = round(weight / scale)``, half to even; ``scale`` is a channel's largest magnitude / largest code.

    Args:
        weight: floating point, any shape with at least one dimension.
        bits: from 2 to 8.
        out_dim: the dimension of ``weight`` that holds output channels.

    Returns:
        Codes, int8, shaped as ``weight``; scales, float32 [output channels], 1 where a channel is zero throughout.

    Raises:
        ConfigError: ``bits`` is not from 2 to 8, or ``weight`` has no such dimension.
        NetworkError: a weight is NaN or infinite.
    """
    largest = largest_code(bits)
    values = weight.detach().float()
    if not bool(torch.isfinite(values).all()):
        raise NetworkError("Weights must be finite to be quantised; some are NaN or infinite. Train the network anew.")
    rows = values.movedim(_checked(weight, out_dim), 0).flatten(1) if values.dim() > 1 else values[:, None]
    scales = rows.abs().amax(1) / largest if rows.shape[1] else rows.new_zeros(len(rows))
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    codes = torch.round(values / _along(scales, values.dim(), out_dim)).clamp(-largest, largest)
    return codes.to(torch.int8), scales


def dequantize(codes: Tensor, scales: Tensor, out_dim: int) -> Tensor:
    """``codes * scales``: float32, shaped as ``codes``.

    Args:
        codes: int8.
        scales: float32 [output channels].
        out_dim: the dimension of ``codes`` that holds output channels.

    Raises:
        ConfigError: ``codes`` has no such dimension, or another number of channels than there are scales.
    """
    if codes.shape[_checked(codes, out_dim)] != len(scales):
        raise ConfigError(
            f"There must be a scale for each output channel; dimension {out_dim} of {list(codes.shape)} came with "
            f"{len(scales)} scales. Give the out_dim that the codes were made with."
        )
    return codes.float() * _along(scales, codes.dim(), out_dim)


def _checked(tensor: Tensor, out_dim: int) -> int:
    if not -tensor.dim() <= out_dim < tensor.dim():
        raise ConfigError(
            f"out_dim must be a dimension of the weight; {out_dim} came for {list(tensor.shape)}. "
            "It is 0 for convolutions and linear layers, 1 for transposed convolutions."
        )
    return out_dim


def _along(scales: Tensor, dimensions: int, out_dim: int) -> Tensor:
    """Scales shaped so that they multiply along ``out_dim``."""
    shape = [1] * dimensions
    shape[out_dim] = -1
    return scales.view(shape)
