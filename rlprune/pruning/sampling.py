"""Rows of a layer's input: what its weight is multiplied with at output positions drawn at random."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from rlprune.networks.listening import Reading

BLOCK_ELEMENTS = 2**24
COPY_PAYS = 4  # reading is faster from a copy with channels last where this share of the inputs, or more, is read


def sample_rows(
    reading: Reading, kernel: Sequence[int], share: float, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Input rows of one call in blocks that stay small, each ``[rows, groups, inputs of one group * kernel]``.

    Each output position is the product of the layer's weight with one such row, its inputs in the order
    (channel, kernel element). Rows of transposed convolutions hold zero where no input reaches the output position.

    Args:
        reading: of a convolution of any dimension, ordinary, grouped or transposed, or of a matrix.
        kernel: the convolution's spatial kernel sizes.
        share: part of the positions to draw, in (0, 1]; of each sample for convolutions.
    """
    if not reading.stride:
        yield from _rows(reading.inputs, share, generator)
        return
    sizes = output_sizes(reading, kernel)
    batch, positions = len(reading.inputs), math.prod(sizes)
    count = min(math.ceil(share * positions), positions)
    chosen = torch.rand((batch, positions), generator=generator).argsort(1)[:, :count].flatten()
    samples = torch.arange(batch).repeat_interleave(count)
    channels_last = reading.inputs.flatten(2).transpose(1, 2)
    if len(chosen) * math.prod(kernel) > batch * channels_last.shape[1] // COPY_PAYS:
        channels_last = channels_last.contiguous()
    block = max(1, BLOCK_ELEMENTS // (reading.inputs.shape[1] * math.prod(kernel)))
    for part in torch.arange(len(chosen)).split(block):
        where = torch.unravel_index(chosen[part], tuple(sizes))
        yield _patches(channels_last, samples[part], where, reading, kernel)


def _rows(inputs: torch.Tensor, share: float, generator: torch.Generator) -> Iterator[torch.Tensor]:
    rows = inputs.reshape(-1, 1, inputs.shape[-1])
    count = min(math.ceil(share * len(rows)), len(rows))
    chosen = torch.randperm(len(rows), generator=generator)[:count]
    for part in chosen.split(max(1, BLOCK_ELEMENTS // rows.shape[-1])):
        yield rows[part.to(rows.device)]


def output_sizes(reading: Reading, kernel: Sequence[int]) -> list[int]:
    """Spatial sizes of what a convolution computes."""
    sizes = []
    for dim, taps in enumerate(kernel):
        size, stride = reading.inputs.shape[2 + dim], reading.stride[dim]
        margin = 2 * reading.padding[dim] - reading.dilation[dim] * (taps - 1)
        if reading.transposed:
            sizes.append((size - 1) * stride - margin + reading.output_padding[dim] + 1)
        else:
            sizes.append((size + margin - 1) // stride + 1)
    return sizes


def _patches(
    channels_last: torch.Tensor,
    samples: torch.Tensor,
    where: Sequence[torch.Tensor],
    reading: Reading,
    kernel: Sequence[int],
) -> torch.Tensor:
    """Inputs under each kernel element at the output positions ``where``, from inputs ``[batch, positions, channels]``.

    Element t at output o meets input ``o * stride - padding + t * dilation``; in a transposed convolution input i
    reaches the outputs ``i * stride - padding + t * dilation``.
    """
    place = torch.zeros(len(samples), 1, dtype=torch.int64)
    inside = torch.ones(len(samples), 1, dtype=torch.bool)
    for dim, taps in enumerate(kernel):
        size, stride, padding = reading.inputs.shape[2 + dim], reading.stride[dim], reading.padding[dim]
        offsets = torch.arange(taps) * reading.dilation[dim]
        if reading.transposed:
            numerator = where[dim][:, None] + padding - offsets
            index, met = numerator.div(stride, rounding_mode="floor"), numerator % stride == 0
        else:
            index = where[dim][:, None] * stride - padding + offsets
            met = torch.ones_like(index, dtype=torch.bool)
        met &= (index >= 0) & (index < size)
        place = (place[..., None] * size + index.clamp(0, size - 1)[:, None]).flatten(1)
        inside = (inside[..., None] & met[:, None]).flatten(1)
    device = channels_last.device
    patches = channels_last[samples[:, None].to(device), place.to(device)]
    if not bool(inside.all()):
        patches.masked_fill_(~inside[..., None].to(device), 0)
    return patches.transpose(1, 2).reshape(len(samples), reading.groups, -1)
