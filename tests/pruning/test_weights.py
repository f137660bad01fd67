"""Which entries of a weight go, and what stands in their place."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlprune.errors import ConfigError, NetworkError, PlanError
from rlprune.pruning.weights import (
    UNSTRUCTURED,
    WeightRule,
    global_densities,
    kept_entries,
    lost_energy,
    mask_of_density,
    mask_of_threshold,
    pruned,
)

DENSITIES = (0.01, 0.1, 0.3, 0.5, 0.75, 0.99, 1.0)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    st.floats(0, 1, exclude_min=True, allow_subnormal=False),
)
def test_exactly_the_largest_stay_and_of_equal_ones_the_first(entries: list[int], density: float) -> None:
    weight = torch.tensor(entries, dtype=torch.float32)
    ranked = sorted(range(len(entries)), key=lambda place: (-abs(entries[place]), place))
    wanted = set(ranked[: max(round(density * len(entries)), 1)])
    mask = mask_of_density(weight, density, UNSTRUCTURED, 0)
    assert set(torch.nonzero(mask).flatten().tolist()) == wanted


def test_masks_of_lower_densities_lie_in_those_of_higher_ones() -> None:
    weight = normal(8, 5, 3, 3).round(decimals=1)
    masks = [mask_of_density(weight, density, UNSTRUCTURED, 1) for density in DENSITIES]
    assert all((less <= more).all() for less, more in itertools.pairwise(masks))
    assert [int(mask.sum()) for mask in masks] == [kept_entries(360, density) for density in DENSITIES]
    assert masks[-1].all()


PATTERNS = [("2:4", 8), ("1:4", 6), ("2:4", 7), ("3:8", 3), ("1:2", 1), ("2:4", 9)]


@pytest.mark.parametrize(("pattern", "inputs"), PATTERNS)
@pytest.mark.parametrize("in_dim", [0, 1, -1])
def test_n_of_m_consecutive_inputs_stay_at_every_output_and_kernel_position(
    pattern: str, inputs: int, in_dim: int
) -> None:
    shape = [3, 2, 4]
    shape[in_dim] = inputs
    weight = normal(*shape)
    kept, size = map(int, pattern.split(":"))
    mask = mask_of_density(weight, kept / size, WeightRule(pattern), in_dim)
    rows, magnitudes_of_rows = (tensor.movedim(in_dim, -1).reshape(-1, inputs) for tensor in (mask, weight.abs()))
    for row, magnitudes in zip(rows, magnitudes_of_rows, strict=True):
        for start in range(0, inputs, size):
            group, sizes = row[start : start + size], magnitudes[start : start + size]
            assert int(group.sum()) == math.ceil(kept * len(group) / size)
            assert not (~group).any() or sizes[group].min() >= sizes[~group].max()


def test_equal_entries_of_a_pattern_stay_by_position() -> None:
    mask = mask_of_density(torch.ones(2, 8), 0.5, WeightRule("2:4"), 1)
    assert mask.int().tolist() == [[1, 1, 0, 0, 1, 1, 0, 0]] * 2


def test_density_one_keeps_all_with_a_pattern_too() -> None:
    assert mask_of_density(normal(4, 4), 1, WeightRule("2:4"), 1).all()


@pytest.mark.parametrize("pattern", ["4:2", "4:4", "0:4", "2:33", "2:4 ", "2", "a:b", "02:4", "-1:4", "2:4:8", "", 24])
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="N:M with 0 < N < M <= 32"):
        WeightRule(pattern)


def test_other_replacements_are_refused() -> None:
    with pytest.raises(ConfigError, match="'median' came"):
        WeightRule(replacement="median")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'median' came"):
        pruned(normal(2), torch.ones(2, dtype=torch.bool), "median")  # type: ignore[arg-type]


@pytest.mark.parametrize("density", [0, -0.1, 1.01, math.nan, math.inf])
def test_densities_out_of_range_are_refused(density: float) -> None:
    for call in (
        lambda: mask_of_density(normal(4, 4), density, UNSTRUCTURED, 1),
        lambda: global_densities({"a": normal(4)}, density),
    ):
        with pytest.raises(PlanError, match=r"above 0 and at most 1.*drop its block or its group"):
            call()


def test_densities_that_a_pattern_does_not_give_are_refused() -> None:
    with pytest.raises(PlanError, match=r"2:4 a density is 0.5 or 1; 0.4 came"):
        mask_of_density(normal(4, 4), 0.4, WeightRule("2:4"), 1)


def test_weights_that_cannot_be_pruned_are_refused() -> None:
    for bad in (torch.tensor([1.0, math.nan]), torch.tensor([math.inf]), torch.zeros(0, 3)):
        with pytest.raises(NetworkError, match="finite numbers"):
            mask_of_density(bad, 0.5, UNSTRUCTURED, 0)
        with pytest.raises(NetworkError, match="finite numbers"):
            mask_of_threshold(bad, 0.5, "layer")
    with pytest.raises(NetworkError, match="summed over"):
        mask_of_density(normal(4), 0.5, WeightRule("2:4"), 1)


def test_thresholds() -> None:
    weight = torch.tensor([[0.5, -1.0], [0.0, 0.2]])
    assert mask_of_threshold(weight, 0.2, "layer").tolist() == [[True, True], [False, False]]
    assert mask_of_threshold(weight, 0, "layer").tolist() == [[True, True], [False, True]]
    for threshold in (math.nextafter(1.0, 0), 1.0, 2.0, math.inf):  # the first is 1 in float32
        with pytest.raises(PlanError, match=r"'stem'.*largest magnitude is 1. Choose a threshold below"):
            mask_of_threshold(weight, threshold, "stem")
    for threshold in (-0.1, math.nan):
        with pytest.raises(PlanError, match=r"'stem': a threshold must be at least 0"):
            mask_of_threshold(weight, threshold, "stem")


def test_removed_entries_become_zero_or_their_mean() -> None:
    weight = torch.tensor([4.0, 1.0, -0.5, 0.0])
    mask = mask_of_density(weight, 0.5, UNSTRUCTURED, 0)
    assert pruned(weight, mask, "zero").tolist() == [4.0, 1.0, 0.0, 0.0]
    assert pruned(weight, mask, "mean").tolist() == [4.0, 1.0, -0.25, -0.25]
    assert weight.tolist() == [4.0, 1.0, -0.5, 0.0]


def test_the_mean_keeps_the_sum_of_a_layer_and_stays_when_taken_again() -> None:
    weight = normal(16, 9)
    mask = mask_of_density(weight, 0.4, UNSTRUCTURED, 1)
    once = pruned(weight, mask, "mean")
    assert float(once.double().sum()) == pytest.approx(float(weight.double().sum()), abs=1e-5)
    assert torch.equal(pruned(once, mask, "mean"), once)


@pytest.mark.parametrize("replacement", ["zero", "mean"])
def test_a_full_mask_changes_no_bit(replacement: str) -> None:
    weight = torch.tensor([0.0, -0.0, 1e-45, math.nan, 3.0])
    same = pruned(weight, torch.ones(5, dtype=torch.bool), replacement)  # type: ignore[arg-type]
    assert torch.equal(same.view(torch.int32), weight.view(torch.int32))
    assert same.data_ptr() != weight.data_ptr()


@pytest.mark.parametrize("mask", [torch.ones(3, dtype=torch.bool), torch.ones(2, 2)])
def test_masks_that_do_not_fit_are_refused(mask: torch.Tensor) -> None:
    with pytest.raises(NetworkError, match="bool and shaped as its weight"):
        pruned(normal(2, 2), mask, "zero")


def test_lost_energy_is_what_the_removed_entries_held() -> None:
    weight = torch.tensor([[3.0, 1.0], [-2.0, 0.0]])
    assert lost_energy(weight, (0.25, 0.5, 0.75, 1)).tolist() == pytest.approx([5 / 14, 1 / 14, 0, 0])
    moment = torch.tensor([1.0, 10.0])  # 9, 10, 4, 0
    assert lost_energy(weight, (0.25, 0.5, 1), moment).tolist() == pytest.approx([14 / 23, 10 / 23, 0])
    assert lost_energy(torch.zeros(2, 2), (0.5, 1)).tolist() == [0, 0]


def test_lost_energy_never_rises_with_the_density() -> None:
    densities = [count / 200 for count in range(1, 201)]
    for seed in range(5):
        weight = normal(12, 6, 3, 3, seed=seed) * 10.0 ** (5 * normal(12, 6, 3, 3, seed=seed + 9))
        lost = lost_energy(weight, densities, normal(6, seed=seed) ** 2)
        assert (lost[1:] <= lost[:-1]).all()
        assert lost[-1] == 0
    assert (lost_energy(normal(8, 8), (0.5, 1), rule=WeightRule("2:4")) > [0, -1]).all()


def test_lost_energy_is_lost_output_power_of_a_grouped_convolution() -> None:
    convolution = torch.nn.Conv2d(4, 6, 1, groups=2, bias=False).requires_grad_(False)
    convolution.weight.data = normal(6, 2, 1, 1)
    deviations = torch.tensor([1.0, 3.0, 0.1, 2.0])
    inputs = normal(20_000, 4, 1, 1, seed=1) * deviations.view(1, 4, 1, 1)
    mask = mask_of_density(convolution.weight, 0.5, UNSTRUCTURED, 1)
    whole = convolution(inputs)
    convolution.weight.data = pruned(convolution.weight, mask, "zero")
    share = float((whole - convolution(inputs)).pow(2).sum() / whole.pow(2).sum())
    assert lost_energy(normal(6, 2, 1, 1), (0.5,), deviations**2)[0] == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize(
    "moment", [torch.ones(3), torch.ones(2, 2), -torch.ones(2), torch.tensor([1.0, math.nan]), torch.ones(0)]
)
def test_moments_that_do_not_fit_are_refused(moment: torch.Tensor) -> None:
    with pytest.raises(NetworkError, match="Moments must be"):
        lost_energy(normal(3, 2), (0.5,), moment)


def test_one_threshold_for_the_whole_network() -> None:
    weights = {"large": 10 * normal(50), "small": normal(10, 5, seed=1), "zeros": torch.zeros(4)}
    densities = global_densities(weights, 0.5)
    kept = {name: round(densities[name] * weight.numel()) for name, weight in weights.items()}
    assert sum(kept.values()) == round(0.5 * 104)
    assert kept["large"] > kept["small"]
    assert kept["zeros"] == 1
    together = torch.cat([weights["large"], weights["small"].flatten()]).abs()
    limit = together.sort(descending=True).values[51]  # one of the 52 places is taken by the largest of the zeros
    assert kept["large"] == int((weights["large"].abs() > limit).sum())
    for name, weight in weights.items():
        assert int(mask_of_density(weight, densities[name], UNSTRUCTURED, 0).sum()) == kept[name]


def test_one_entry_of_every_layer_stays_however_low_the_density() -> None:
    densities = global_densities({"a": normal(10), "b": normal(10) / 1e6}, 0.001)
    assert densities == {"a": 0.1, "b": 0.1}
    assert global_densities({"a": normal(10)}, 1) == {"a": 1.0}
