"""Actions: the mapping around the uniform plan, its inverse, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlprune.envs.actions import action_space, decode, encode
from rlprune.errors import ActionError

ENDS_AND_CENTRE = [(0.1, 0.5), (0.25, 0.25), (0.25, 1.0), (1.0, 1.0), (0.125, 0.875)]


def act(value: float) -> npt.NDArray[np.float32]:
    return np.array([value], dtype=np.float32)


@pytest.mark.parametrize(("low", "centre"), ENDS_AND_CENTRE)
def test_ends_and_centre(low: float, centre: float) -> None:
    assert decode(act(-1), low, centre) == pytest.approx(low)
    assert decode(act(0), low, centre) == centre
    assert decode(act(1), low, centre) == pytest.approx(1.0)


def test_linear_on_each_side() -> None:
    assert decode(act(-0.5), 0.2, 0.6) == pytest.approx(0.4)
    assert decode(act(0.5), 0.2, 0.6) == pytest.approx(0.8)


@given(low=st.floats(0.01, 1.0), at=st.floats(0, 1), keep=st.floats(0, 1))
def test_decode_undoes_encode(low: float, at: float, keep: float) -> None:
    centre = low + at * (1.0 - low)
    keep_ratio = low + keep * (1.0 - low)
    action = encode(keep_ratio, low, centre)
    assert action_space().contains(action)
    assert decode(action, low, centre) == pytest.approx(keep_ratio, abs=1e-6)


@given(value=st.floats(-1, 1, width=32), low=st.floats(0.01, 0.4), centre=st.floats(0.45, 0.95))
def test_encode_undoes_decode(value: float, low: float, centre: float) -> None:
    assert encode(decode(act(value), low, centre), low, centre)[0] == pytest.approx(value, abs=1e-6)


def test_widths_come_back_exactly() -> None:
    for full in (3, 16, 24, 64, 2048):
        for width in range(1, full + 1):
            for uniform in {1, full // 2 or 1, full}:
                low, centre = 1 / full, uniform / full
                assert round(decode(encode(width / full, low, centre), low, centre) * full) == width


@pytest.mark.parametrize(("low", "centre"), [(0.25, 0.25), (1.0, 1.0)])
def test_a_side_without_room_is_zero(low: float, centre: float) -> None:
    assert encode(low, low, centre).tolist() == [0.0]
    assert decode(act(-0.7), low, centre) == low


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.001, -2.0])
def test_outside_the_box_is_refused(value: float) -> None:
    with pytest.raises(ActionError, match=r"\[-1, 1\]"):
        decode(act(value), 0.1, 0.5)


def test_a_rounding_error_outside_the_box_is_inside() -> None:
    assert decode(np.array([1 + 5e-7]), 0.1, 0.5) == 1.0
    assert decode(np.array([-1 - 5e-7]), 0.1, 0.5) == pytest.approx(0.1)


@pytest.mark.parametrize("action", [0.5, [], [0.1, 0.2], [[0.5]]])
def test_other_shapes_are_refused(action: object) -> None:
    with pytest.raises(ActionError, match="shape"):
        decode(np.array(action), 0.1, 0.5)
