"""Weights as whole numbers and scales."""

from __future__ import annotations

import math

import pytest
import torch

from rlprune.errors import ConfigError, NetworkError
from rlprune.pruning.codes import dequantize, largest_code, quantize


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_codes_and_scales_by_hand() -> None:
    codes, scales = quantize(torch.tensor([[0.7, -0.35, 0.04], [0.0, 0.0, 0.0]]), 4, 0)
    assert codes.tolist() == [[7, -4, 0], [0, 0, 0]]  # -3.5 rounds half to even
    assert scales.tolist() == pytest.approx([0.1, 1.0])
    assert codes.dtype == torch.int8
    assert scales.dtype == torch.float32


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("shape", "out_dim"), [((4, 3, 3, 3), 0), ((3, 5, 2, 2), 1), ((6, 4), -1), ((7,), 0)])
def test_no_weight_moves_by_more_than_half_a_step(shape: tuple[int, ...], out_dim: int, bits: int) -> None:
    weight = weights(*shape)
    codes, scales = quantize(weight, bits, out_dim)
    assert int(codes.abs().max()) == largest_code(bits)
    step = scales.view([-1 if dim == out_dim % len(shape) else 1 for dim in range(len(shape))])
    assert ((dequantize(codes, scales, out_dim) - weight).abs() <= step * 0.5001).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_what_was_quantised_once_keeps_its_codes(bits: int) -> None:
    codes, scales = quantize(weights(8, 5, 3, 3), bits, 0)
    again, _ = quantize(dequantize(codes, scales, 0), bits, 0)
    assert torch.equal(codes, again)


def test_an_empty_weight_and_one_too_small_for_a_scale() -> None:
    for shape in ((0, 3), (3, 0)):
        codes, scales = quantize(torch.zeros(shape), 8, 0)
        assert dequantize(codes, scales, 0).shape == shape
    codes, scales = quantize(torch.full((1, 2), 1e-45), 8, 0)
    assert scales.tolist() == [1.0]
    assert codes.tolist() == [[0, 0]]


@pytest.mark.parametrize("bits", [1, 9, 32])
def test_other_bits_are_refused(bits: int) -> None:
    with pytest.raises(ConfigError, match=f"2 to 8 bits; {bits} came"):
        quantize(weights(2, 2), bits, 0)


def test_what_cannot_be_quantised_is_refused() -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(NetworkError, match="finite to be quantised"):
            quantize(torch.tensor([[bad]]), 8, 0)
    with pytest.raises(ConfigError, match="out_dim must be a dimension"):
        quantize(weights(2, 2), 8, 2)
    with pytest.raises(ConfigError, match="a scale for each output channel"):
        dequantize(torch.zeros(2, 3, dtype=torch.int8), torch.ones(2), 1)
