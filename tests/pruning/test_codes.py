"""Weights as whole numbers and scales."""

from __future__ import annotations

import math

import pytest
import torch

from rlprune.errors import ConfigError, NetworkError
from rlprune.pruning.codes import dequantize, halve, largest_code, quantize


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_codes_and_scales_by_hand() -> None:
    codes, scales = quantize(torch.tensor([[0.7, -0.35, 0.04], [0.0, 0.0, 0.0]]), 4, 0)
    assert codes.tolist() == [[7, -4, 0], [0, 0, 0]]  # -3.5 rounds half to even
    assert scales.tolist() == pytest.approx([0.1, 1.0], rel=2**-16)
    assert codes.dtype == torch.int8
    assert scales.dtype == torch.float32


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("shape", "out_dim"), [((4, 3, 3, 3), 0), ((3, 5, 2, 2), 1), ((6, 4), -1), ((7,), 0)])
def test_no_weight_moves_by_more_than_half_a_step(shape: tuple[int, ...], out_dim: int, bits: int) -> None:
    weight = weights(*shape)
    codes, scales = quantize(weight, bits, out_dim)
    assert int(codes.abs().max()) == largest_code(bits)
    step = scales.view([-1 if dim == out_dim % len(shape) else 1 for dim in range(len(shape))])
    assert ((dequantize(codes, scales, out_dim) - weight).abs() <= step * 0.502).all()  # 127 cut 2^-16 short


@pytest.mark.parametrize("bits", [4, 8])
def test_what_was_quantised_once_stays_as_it_is_bit_by_bit(bits: int) -> None:
    codes, scales = quantize(weights(5000, 4), bits, 0)
    again, same = quantize(dequantize(codes, scales, 0), bits, 0)
    assert torch.equal(codes, again)
    assert torch.equal(scales, same)


def test_codes_times_scales_are_exact() -> None:
    codes, scales = quantize(weights(500, 40), 8, 0)
    assert torch.equal(dequantize(codes, scales, 0).double(), codes.double() * scales.double()[:, None])


def test_the_largest_weight_of_float32_does_not_overflow() -> None:
    largest = torch.finfo(torch.float32).max
    for bits in (4, 8):
        codes, scales = quantize(torch.tensor([[largest]]), bits, 0)
        assert dequantize(codes, scales, 0).item() == pytest.approx(largest, rel=1e-4)


def test_halves_keep_what_float16_holds() -> None:
    every = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.float16)
    finite = every[torch.isfinite(every)].float()[None]
    assert torch.equal(dequantize(*halve(finite, 0), 0), finite)


@pytest.mark.parametrize("size", [1e-30, 1e-4, 1.0, 65535.0, 1e30])
def test_halves_keep_eleven_bits_at_any_size_and_stay_as_they_are(size: float) -> None:
    weight = weights(400, 3, seed=1) * size
    halves = dequantize(*halve(weight, 1), 1)
    assert torch.allclose(halves, weight, rtol=2**-11, atol=size * 1e-6)
    assert torch.equal(dequantize(*halve(halves, 1), 1), halves)


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
