"""Intervals and paired differences over seeds, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from rlprune.experiments.comparing.bootstrap import Difference, paired_difference, spread


def test_equal_values_have_an_interval_of_no_width_and_do_not_differ() -> None:
    found = spread([0.9, 0.9, 0.9])
    assert (found.kind, found.mean) == ("bootstrap", pytest.approx(0.9))
    assert found.low == found.high == pytest.approx(0.9)
    difference = paired_difference([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    assert (difference.mean, difference.low, difference.high, difference.p) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.25), (5, 0.0625), (10, 2**-9), (40, 1 / 10_000)])
def test_what_is_clearly_apart_gets_the_least_p_that_so_many_seeds_can_tell(seeds: int, least: float) -> None:
    first = 0.9 + 0.001 * np.arange(seeds)
    difference = paired_difference(first, first - 0.5)
    assert difference.p == difference.least_p == pytest.approx(least)
    assert difference.low == pytest.approx(0.5)


def test_differences_that_cancel_are_no_difference() -> None:
    found = paired_difference([1.1, 0.9, 1.2, 0.8], [1.0, 1.0, 1.0, 1.0])
    assert found.p is not None
    assert found.p > 0.9
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


def test_p_is_the_share_of_signs_that_do_as_well() -> None:
    # Of the 8 sign choices of 3, 2, 1 the sums 6, 4, -4 and -6 are at least as far from zero as 4.
    assert paired_difference([3.0, 2.0, -1.0], [0.0, 0.0, 0.0]).p == pytest.approx(4 / 8)
    assert paired_difference([3.0, 2.0, 1.0], [0.0, 0.0, 0.0]).p == pytest.approx(2 / 8)


def test_steps_of_one_sample_are_equally_far_whatever_their_last_digits() -> None:
    assert paired_difference([357 / 360, 355 / 360, 354 / 360], [356 / 360, 354 / 360, 355 / 360]).p == 1.0


def test_p_and_interval_turn_round_with_the_pair() -> None:
    draws = np.random.default_rng(3)
    for _ in range(20):
        first, second = draws.normal(0.6, 1, 12), draws.normal(0, 1, 12)
        one, other = paired_difference(first, second), paired_difference(second, first)
        assert one.p == other.p
        assert one.low == pytest.approx(-(other.high or 0))
        assert one.p is not None
        assert one.low is not None
        assert one.high is not None
        assert one.low <= (one.mean or 0) <= one.high


def test_pairs_see_what_means_alone_do_not() -> None:
    level = np.linspace(0, 10, 8)
    better = paired_difference(level + 0.1 + 0.01 * np.cos(level), level)
    assert better.low is not None
    assert better.low > 0.08
    own = spread(level)
    assert own.high is not None
    assert own.low is not None
    assert own.high - own.low > 2


def test_few_seeds_get_no_more_than_they_can_tell() -> None:
    assert (spread([0.5]).kind, spread([0.5]).low) == ("none", None)
    two = spread([0.7, 0.5])
    assert (two.kind, two.low, two.high) == ("range", 0.5, 0.7)
    assert spread([0.5, 0.5, 0.5], constant=True).kind == "constant"
    assert paired_difference([1.0, 2.0], [0.0, 0.0]) == Difference(2, 1.5)
    assert paired_difference([], []) == Difference(0, None)


@pytest.mark.parametrize(("seeds", "at_least", "at_most"), [(4, 0.68, 0.90), (20, 0.88, 0.98)])
def test_intervals_cover_the_truth_as_often_as_is_said(seeds: int, at_least: float, at_most: float) -> None:
    draws = np.random.default_rng(0)
    found = [spread(draws.normal(size=seeds)) for _ in range(200)]
    covered = np.mean([one.low <= 0 <= one.high for one in found if one.low is not None and one.high is not None])
    assert at_least <= covered <= at_most


@pytest.mark.parametrize("seeds", [5, 6, 8, 20])
def test_p_is_wrong_no_more_often_than_it_says(seeds: int) -> None:
    draws = np.random.default_rng(1)
    found = [paired_difference(draws.normal(size=seeds), draws.normal(size=seeds)).p for _ in range(400)]
    assert np.mean([p is not None and p <= 0.05 for p in found]) < 0.08
