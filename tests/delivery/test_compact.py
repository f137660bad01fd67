"""Compact files of networks: sizes, round trips, and what is refused."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save

from rlprune.delivery.compact.file import Stored, load_compact, save_compact, stored_bytes, treated
from rlprune.errors import ConfigError, NetworkError
from rlprune.pruning.codes import dequantize, quantize
from rlprune.pruning.weights import UNSTRUCTURED, WeightRule, mask_of_density, pruned

BITS = (4, 8, 16, 32)
SHAPES = [((5, 3, 3, 3), 0), ((6, 4, 2, 2), 1), ((7, 9), -2), ((1, 1), 0), ((13,), 0), ((16, 1, 3, 3), 0)]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    return torch.equal(left.contiguous().view(torch.int32), right.contiguous().view(torch.int32))


def random_mask(weight: torch.Tensor, density: float) -> torch.Tensor:
    """Not by magnitude, so that whole channels may go and the largest weights too."""
    return mask_of_density(normal(*weight.shape, seed=7), density, UNSTRUCTURED, 0)


def header_bytes(path: Path) -> int:
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("shape", "out_dim"), SHAPES)
def test_a_weight_comes_back_bit_for_bit_and_takes_the_bytes_that_were_told(
    tmp_path: Path, shape: tuple[int, ...], out_dim: int, bits: int, mean: bool
) -> None:
    weight = normal(*shape)
    masks = [None, *(random_mask(weight, density) for density in (0.02, 0.3, 0.5, 0.9, 0.98, 1.0))]
    ways = {f"w{number}": Stored(bits, out_dim, mask, mean) for number, mask in enumerate(masks)}
    path = save_compact(tmp_path / "net.safetensors", dict.fromkeys(ways, weight), ways)
    wanted = {key: treated(weight, stored) for key, stored in ways.items()}
    loaded = load_compact(path)
    assert all(same_bits(loaded[key], wanted[key]) for key in ways)
    kept = [weight.numel() if mask is None else int(mask.sum()) for mask in masks]
    told = [stored_bytes(weight.numel(), count, bits, shape[out_dim], mean) for count in kept]
    assert path.stat().st_size == header_bytes(path) + sum(told)
    assert save_compact(tmp_path / "again", wanted, ways).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("replacement", ["zero", "mean"])
@pytest.mark.parametrize("pattern", [None, "2:4"])
def test_pruned_then_quantised_is_what_is_stored(pattern: str | None, replacement: str) -> None:
    weight = normal(6, 8, 3, 3)
    mask = mask_of_density(weight, 0.5, WeightRule(pattern), 1)
    mean = replacement == "mean"
    kept = pruned(weight, mask, "zero")
    assert same_bits(treated(weight, Stored(32, 0, mask, mean)), pruned(weight, mask, replacement))  # type: ignore[arg-type]
    for bits in (4, 8):
        whole = dequantize(*quantize(kept, bits, 0), 0)
        got = treated(weight, Stored(bits, 0, mask, mean))
        assert same_bits(got[mask], whole[mask])
        assert same_bits(got[~mask], pruned(weight, mask, replacement)[~mask])  # type: ignore[arg-type]
    halves = treated(weight, Stored(16, 0, mask, mean))
    assert torch.equal(halves[mask], weight[mask].half().float())


def test_all_tensors_of_a_network_and_the_size_of_its_file(tmp_path: Path) -> None:
    state = {
        "stem.weight": normal(8, 3, 3, 3).to(memory_format=torch.channels_last),
        "stem.bias": normal(8),
        "odd": normal(8).half(),
        "norm.num_batches_tracked": torch.tensor(7),
        "ids": torch.arange(5),
        "attention": torch.tensor([0.0, -math.inf]),
        "head.weight": normal(10, 8).T,
        "empty": torch.zeros(0, 3),
    }
    state["tied"] = state["stem.bias"]
    mask = random_mask(state["stem.weight"], 0.3)
    treatment = {"stem.weight": Stored(8, 0, mask), "head.weight": Stored(4, 1)}
    path = save_compact(tmp_path / "deep" / "net.safetensors", state, treatment)
    loaded = load_compact(path)
    assert loaded.keys() == state.keys()
    for key in state.keys() - treatment.keys():
        assert loaded[key].dtype == state[key].dtype
        assert torch.equal(loaded[key], state[key])
    for key, stored in treatment.items():
        assert same_bits(loaded[key], treated(state[key], stored))
    plain = sum(state[key].numel() * state[key].element_size() for key in state.keys() - treatment.keys())
    told = stored_bytes(216, int(mask.sum()), 8, 8) + stored_bytes(80, 80, 4, 10)
    assert path.stat().st_size == header_bytes(path) + plain + told


def test_the_layout_is_as_documented(tmp_path: Path) -> None:
    weight = torch.tensor([[0.0, -7.0, 3.0, 0.1, 0.2, 0.0, 0.0, 0.0, 0.0, 4.0]] + [[0.0] * 10] * 2)
    mask = weight.abs() > 1
    path = save_compact(tmp_path / "net.safetensors", {"w": weight}, {"w": Stored(4, 0, mask, mean=True)})
    content = load_file(path)["w"].numpy().tobytes()
    wide = save_compact(tmp_path / "wide.safetensors", {"w": weight}, {"w": Stored(32, 0, mask, mean=True)})
    mean = np.float32(0.3 / 27)
    bitmask = bytes([0b01100000, 0b01000000, 0, 0])
    assert load_file(wide)["w"].numpy().tobytes() == mean.tobytes() + np.float32([-7, 3, 4]).tobytes() + bitmask
    assert content == load_file(wide)["w"].numpy().tobytes()  # three scales and three halves of a byte take more

    many = torch.tensor([[1.0, -7.0, 3.0] * 20])
    dense = save_compact(tmp_path / "dense.safetensors", {"w": many}, {"w": Stored(4)})
    assert load_file(dense)["w"].numpy().tobytes() == np.float32([1]).tobytes() + bytes([0x91, 0x13, 0x39] * 10)
    with safe_open(dense, "pt") as file:
        metadata = file.metadata()
    form = {"shape": [1, 60], "out_dim": 0, "bits": 4, "sparse": False, "mean": False, "kept": 60}
    assert json.loads(metadata["rlprune"]) == {"schema": "rlprune-compact/1", "treated": {"w": form}}


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize(("channels", "each"), [(1, 1), (1, 9), (5, 1), (3, 4), (4, 27), (16, 9), (2, 64)])
def test_sizes_never_fall_when_more_is_kept_or_bits_rise(channels: int, each: int, mean: bool) -> None:
    numel = channels * each
    kept, bits = np.arange(numel + 1)[:, None], np.array(BITS)[None]
    grid = stored_bytes(np.array(numel), kept, bits, np.array(channels), mean)
    assert isinstance(grid, np.ndarray)
    assert (np.diff(grid, axis=0) >= 0).all()
    assert (np.diff(grid, axis=1) >= 0).all()
    for row, column in itertools.product((0, numel // 2, numel), range(4)):
        assert stored_bytes(numel, row, BITS[column], channels, mean) == grid[row, column]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(1, 10**6), st.integers(1, 10**4), st.data())
def test_sizes_never_fall_on_any_weight(each: int, channels: int, data: st.DataObject) -> None:
    numel = each * channels
    kept = sorted(data.draw(st.lists(st.integers(0, numel), min_size=2, max_size=2)))
    bits = sorted(data.draw(st.lists(st.sampled_from(BITS), min_size=2, max_size=2)))
    low, high = (stored_bytes(numel, k, b, channels) for k, b in zip(kept, bits, strict=True))
    assert low <= high <= 4 * numel


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ((1000, 1000, 32, 10), 4000),
        ((1000, 1000, 16, 10), 2040),
        ((1000, 1000, 8, 10), 1040),
        ((1001, 1001, 4, 10), 541),
        ((1000, 100, 32, 10), 525),
        ((1000, 100, 8, 10), 265),
        ((1000, 101, 4, 10), 216),
        ((1000, 10, 8, 100), 165),  # scales would take more than float32
        ((1000, 100, 8, 10, True), 269),
    ],
)
def test_sizes_by_hand(arguments: tuple[Any, ...], size: int) -> None:
    assert stored_bytes(*arguments) == size


@pytest.mark.parametrize("arguments", [(10, 11, 8, 1), (10, -1, 8, 1), (10, 5, 7, 1), (10, 5, 0, 1)])
def test_sizes_of_what_cannot_be_are_refused(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(ConfigError, match="4, 8, 16, 32 bits"):
        stored_bytes(*arguments)


def test_treatments_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    weight, path = normal(4, 4), tmp_path / "net.safetensors"
    with pytest.raises(ConfigError, match="4, 8, 16, 32 bits; 2 came"):
        Stored(2)
    for state, treatment, message in (
        ({"stem": weight}, {"stm": Stored()}, "Unknown tensor 'stm'. Did you mean 'stem'"),
        ({"w": weight}, {"w": Stored(mask=torch.ones(4, dtype=torch.bool))}, "shaped as its weight"),
        ({"w": torch.arange(4)}, {"w": Stored()}, "finite floating-point"),
        ({"w": weight * math.nan}, {"w": Stored()}, "finite floating-point"),
        ({"w": torch.zeros(0, 2)}, {"w": Stored(8)}, "finite floating-point"),
    ):
        with pytest.raises(NetworkError, match=message):
            save_compact(path, state, treatment)
    for bits in BITS:
        with pytest.raises(ConfigError, match="out_dim must be a dimension"):
            save_compact(path, {"w": weight}, {"w": Stored(bits, out_dim=2)})
    assert not path.exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with pytest.raises(NetworkError, match="Is this the right path"):
        load_compact(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(NetworkError, match="must be a whole safetensors file"):
        load_compact(path)
    path.write_bytes(save({"w": normal(3)}))
    with pytest.raises(NetworkError, match="must have schema 'rlprune-compact/1'; None came"):
        load_compact(path)
