"""Weights in few bits: symmetric, one scale per output channel (Jacob et al., CVPR 2018, without zero points)."""

from __future__ import annotations

import torch
from torch import Tensor

from rlprune.errors import ConfigError, NetworkError

FEWEST_BITS, MOST_BITS = 2, 8
_SMALLEST_EXPONENT = -126
_FULL_HALF = 65520 / 65536  # from here on float16 rounds a number just below 2^16 to infinity


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

    Scales are cut to 17 significant bits (a relative 2^-16): a code times a scale is then exact in float32, and what
    was quantised once has the same codes and scales when it is quantised again.

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
    values = _finite(weight)
    scales = _largest_of_channels(values, out_dim) / largest
    scales = (scales.view(torch.int32) & ~0x7F).view(torch.float32)
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    codes = torch.round(values / _along(scales, values, out_dim)).clamp(-largest, largest)
    return codes.to(torch.int8), scales


def halve(weight: Tensor, out_dim: int) -> tuple[Tensor, Tensor]:
    """``weight / scale`` in float16; ``scale`` is the power of two that fills float16's range in each output channel.

    So no weight overflows, and weights that float16 holds anyway keep every bit.

    Args:
        weight: floating point, any shape with at least one dimension.
        out_dim: the dimension of ``weight`` that holds output channels.

    Returns:
        Float16, shaped as ``weight``; scales, float32 [output channels], 1 where a channel is zero throughout.

    Raises:
        ConfigError: ``weight`` has no such dimension.
        NetworkError: a weight is NaN or infinite.
    """
    values = _finite(weight)
    largest = _largest_of_channels(values, out_dim)
    fraction, exponent = torch.frexp(largest)
    exponent = (exponent - 16 + (fraction >= _FULL_HALF)).clamp(min=_SMALLEST_EXPONENT)
    scales = torch.ldexp(torch.ones_like(largest), exponent)
    scales = torch.where(largest > 0, scales, torch.ones_like(scales))
    return (values / _along(scales, values, out_dim)).half(), scales


def dequantize(codes: Tensor, scales: Tensor, out_dim: int) -> Tensor:
    """``codes * scales``: float32, shaped as ``codes``.

    Args:
        codes: int8 of :func:`quantize`, or float16 of :func:`halve`.
        scales: float32 [output channels].
        out_dim: the dimension of ``codes`` that holds output channels.

    Raises:
        ConfigError: ``codes`` has no such dimension, or another number of channels than there are scales.
    """
    if codes.shape[check_out_dim(codes, out_dim)] != len(scales):
        raise ConfigError(
            f"There must be a scale for each output channel; dimension {out_dim} of {list(codes.shape)} came with "
            f"{len(scales)} scales. Give the out_dim that the codes were made with."
        )
    return codes.float() * _along(scales, codes, out_dim)


def _finite(weight: Tensor) -> Tensor:
    values = weight.detach().float()
    if not bool(torch.isfinite(values).all()):
        raise NetworkError("Weights must be finite to be quantised; some are NaN or infinite. Train the network anew.")
    return values


def _largest_of_channels(values: Tensor, out_dim: int) -> Tensor:
    channels = values.movedim(check_out_dim(values, out_dim), 0).unsqueeze(-1).flatten(1).abs()
    return channels.amax(1) if channels.shape[1] else channels.new_zeros(len(channels))


def check_out_dim(tensor: Tensor, out_dim: int) -> int:
    """``out_dim`` itself, counted from the front.

    Raises:
        ConfigError: the tensor has no such dimension.
    """
    if not -tensor.dim() <= out_dim < tensor.dim():
        raise ConfigError(
            f"out_dim must be a dimension of the weight; {out_dim} came for {list(tensor.shape)}. "
            "It is 0 for convolutions and linear layers, 1 for transposed convolutions."
        )
    return out_dim % tensor.dim()


def _along(scales: Tensor, tensor: Tensor, out_dim: int) -> Tensor:
    """Scales shaped so that they multiply along ``out_dim`` of ``tensor``."""
    shape = [1] * tensor.dim()
    shape[out_dim] = -1
    return scales.view(shape)
