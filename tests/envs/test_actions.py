"""Actions: the mapping around the uniform plan, its inverse, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlprune.choices.choice import Kind
from rlprune.envs.actions import action_names, action_space, decode, encode, entries_of
from rlprune.errors import ActionError

ENDS_AND_CENTRE = [(0.1, 0.5), (0.25, 0.25), (0.25, 1.0), (1.0, 1.0), (0.125, 0.875)]
MIXED: tuple[Kind, ...] = ("depth", "channels", "bits")


@pytest.mark.parametrize(("low", "centre"), ENDS_AND_CENTRE)
def test_ends_and_centre(low: float, centre: float) -> None:
    assert decode(-1.0, low, centre) == pytest.approx(low)
    assert decode(0.0, low, centre) == centre
    assert decode(1.0, low, centre) == pytest.approx(1.0)


def test_linear_on_each_side() -> None:
    assert decode(-0.5, 0.2, 0.6) == pytest.approx(0.4)
    assert decode(0.5, 0.2, 0.6) == pytest.approx(0.8)


@given(low=st.floats(0.01, 1.0), at=st.floats(0, 1), keep=st.floats(0, 1))
def test_decode_undoes_encode(low: float, at: float, keep: float) -> None:
    centre = low + at * (1.0 - low)
    keep_ratio = low + keep * (1.0 - low)
    entry = encode(keep_ratio, low, centre)
    assert action_space().contains(np.array([entry], dtype=np.float32))
    assert decode(entry, low, centre) == pytest.approx(keep_ratio, abs=1e-6)


@given(value=st.floats(-1, 1, width=32), low=st.floats(0.01, 0.4), centre=st.floats(0.45, 0.95))
def test_encode_undoes_decode(value: float, low: float, centre: float) -> None:
    assert encode(decode(value, low, centre), low, centre) == pytest.approx(value, abs=1e-6)


def test_widths_come_back_exactly() -> None:
    for full in (3, 16, 24, 64, 2048):
        for width in range(1, full + 1):
            for uniform in {1, full // 2 or 1, full}:
                low, centre = 1 / full, uniform / full
                assert round(decode(encode(width / full, low, centre), low, centre) * full) == width


@pytest.mark.parametrize(("low", "centre"), [(0.25, 0.25), (1.0, 1.0)])
def test_a_side_without_room_is_zero(low: float, centre: float) -> None:
    assert encode(low, low, centre) == 0.0
    assert decode(-0.7, low, centre) == low


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.001, -2.0])
def test_outside_the_box_is_refused(value: float) -> None:
    with pytest.raises(ActionError, match=r"\[-1, 1\]"):
        entries_of([value])
    with pytest.raises(ActionError, match=r"\[-1, 1\]"):
        entries_of([0.0, value, 0.0], MIXED)


def test_a_rounding_error_outside_the_box_is_inside() -> None:
    assert entries_of([1 + 5e-7]) == {"channels": 1.0}
    assert entries_of([-1 - 5e-7]) == {"channels": -1.0}


@pytest.mark.parametrize("action", [0.5, [], [0.1, 0.2], [[0.5]]])
def test_other_shapes_are_refused(action: object) -> None:
    with pytest.raises(ActionError, match="shape"):
        entries_of(np.array(action))


@pytest.mark.parametrize("action", [0.5, [0.1], [0.1, 0.2, 0.3, 0.4], [[0.1, 0.2, 0.3]]])
def test_an_action_has_one_entry_for_each_kind(action: object) -> None:
    assert entries_of([0.1, -0.2, 0.3], MIXED) == pytest.approx({"depth": 0.1, "channels": -0.2, "bits": 0.3})
    assert action_space(MIXED).shape == (len(action_names(MIXED)),) == (3,)
    with pytest.raises(ActionError, match=r"shape \(3,\), one entry for keep_block, keep_ratio, precision"):
        entries_of(np.array(action), MIXED)
