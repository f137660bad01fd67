"""Mixes in a profile's JSON: round trip, and one clear error for everything that can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import one_of

from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.costs.latency import LatencyCost
from rlprune.devices.profiles.digest import sealed
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.errors import ProfileError, RlpruneError
from rlprune.pruning.quantization import int8_layers
from tests.security.mutations import spoilt_bytes, spoilt_tree

from .mixed_truth import PAYS, measured, network, random_rows, truth_of
from .test_mixed import fitted, profile_of, rows_for_fit, space_for_fit

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def profile() -> DeviceProfile:
    space = space_for_fit("tower")
    plans = measured(truth_of(space, PAYS), space, rows_for_fit(space, 24), held_out=4)
    return profile_of(space, fitted(space, plans, int8_layers(space.network)))


def rewritten(profile: DeviceProfile, change: Change) -> dict[str, Any]:
    """The JSON of a profile whose mixes were changed, sealed again."""
    value: dict[str, Any] = json.loads(json.dumps(profile.to_dict()))
    change(value["mixed"])
    return sealed(value)


def test_round_trip(profile: DeviceProfile, tmp_path: Path) -> None:
    loaded = DeviceProfile.load(profile.save(tmp_path / "profile.json"))
    assert loaded == profile
    free = Space(network("tower"), Scope(("depth", "channels", "bits")))
    rows, (one, other) = random_rows(free, 40), (each.restrict(free) for each in (profile, loaded))
    assert any(one.computed_in_int8(row) for row in rows)
    assert (one.in_int8(rows) == other.in_int8(rows)).all()
    assert (LatencyCost(one, profile)(rows) == LatencyCost(other, loaded)(rows)).all()


def test_a_profile_without_mixes_says_nothing_of_them(profile: DeviceProfile) -> None:
    plain = profile_of(Space(network("tower")), None)
    assert "mixed" not in plain.to_dict()
    assert DeviceProfile.from_dict(plain.to_dict()) == plain


def test_an_edited_share_is_refused(profile: DeviceProfile, tmp_path: Path) -> None:
    path = profile.save(tmp_path / "profile.json")
    value = json.loads(path.read_text())
    value["mixed"]["shares"]["blocks.0"] *= 0.9
    path.write_text(json.dumps(value))
    with pytest.raises(ProfileError, match="edited"):
        DeviceProfile.load(path)


def test_mixes_of_another_network_are_refused(profile: DeviceProfile) -> None:
    with pytest.raises(ProfileError, match="another network"):
        LatencyCost(Space(network("residual")), profile)


@pytest.mark.parametrize("key", ["shares", "layers", "kinds", "layer_ms", "held_out", "measured"])
def test_every_key_is_needed(profile: DeviceProfile, key: str) -> None:
    with pytest.raises(ProfileError, match=key):
        DeviceProfile.from_dict(rewritten(profile, lambda mixed: mixed.pop(key)))


@pytest.mark.parametrize("key", ["widths", "dropped", "int8", "latency_ms", "held_out"])
def test_every_key_of_a_plan_is_needed(profile: DeviceProfile, key: str) -> None:
    with pytest.raises(ProfileError, match=key):
        DeviceProfile.from_dict(rewritten(profile, lambda mixed: mixed["measured"][1].pop(key)))


def setting(*keys: Any, value: Any) -> Change:
    def change(mixed: dict[str, Any]) -> None:
        inner: Any = mixed
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


BAD = {
    "a share above 1": (setting("shares", "blocks.0", value=1.01), "shares.blocks.0: expected float <= 1.0"),
    "a negative share": (setting("shares", "blocks.0", value=-0.1), "blocks.0"),
    "a share that is text": (setting("shares", "blocks.0", value="1"), "blocks.0"),
    "shares in a list": (setting("shares", value=[1.0]), "shares"),
    "a factor above 1": (setting("kinds", "conv", "factor", value=1.5), "kinds.conv.factor: expected float <= 1.0"),
    "a negative factor": (setting("kinds", "conv", "factor", value=-1), "factor"),
    "elements that give time back": (setting("kinds", "conv", "element_ms", value=-1e-9), "element_ms"),
    "layers that give time back": (setting("kinds", "conv", "fixed_ms", value=-1e-9), "fixed_ms"),
    "a block of no channels": (setting("kinds", "conv", "block", value=0), "block"),
    "infinite time": (setting("kinds", "conv", "fixed_ms", value=float("inf")), "fixed_ms"),
    "no number": (setting("layer_ms", value=float("nan")), "layer_ms"),
    "true for a number": (setting("layer_ms", value=True), "layer_ms"),
    "layers that are no names": (setting("layers", value=[1]), "layers"),
    "plans in an object": (setting("measured", value={}), "measured"),
    "a plan of no time": (setting("measured", 0, "latency_ms", value=0), "latency_ms"),
    "too many widths": (setting("measured", 0, "widths", value=[4] * 9), "must have 4 widths"),
    "a width of 0": (setting("measured", 0, "widths", value=[0, 4, 4, 4]), "widths"),
    "a block that is no name": (setting("measured", 0, "dropped", value=[None]), "dropped"),
    "a negative promise": (setting("measured", 0, "promised_ms", value=-1), "promised_ms"),
    "a ratio that is text": (setting("int8_ratio", value="0.5"), "int8_ratio"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_values_are_refused(profile: DeviceProfile, name: str) -> None:
    change, message = BAD[name]
    with pytest.raises(ProfileError, match=message):
        DeviceProfile.from_dict(rewritten(profile, change))


def test_mixes_that_are_no_object_are_refused(profile: DeviceProfile) -> None:
    with pytest.raises(ProfileError, match="mixed"):
        DeviceProfile.from_dict(sealed({**profile.to_dict(), "mixed": [1]}))


def check_promises(path: Path) -> None:
    """Read a profile; what it promises of any mix is finite and above 0, and never falls when all comes back."""
    profile = DeviceProfile.load(path)
    free = Space(network("tower"), Scope(("depth", "channels", "bits")))
    profile.check(free.network)
    space = profile.restrict(free)
    rows = random_rows(space, 12)
    latency, full = LatencyCost(space, profile)(rows), LatencyCost(space, profile)(space.full[None])
    assert np.isfinite(latency).all()
    assert (latency > 0).all()
    assert (latency <= full * (1 + 1e-9)).all()


@pytest.mark.parametrize("effort", [1, pytest.param(10, marks=pytest.mark.slow)], ids=["quick", "long"])
def test_spoilt_mixes_are_read_whole_or_refused(profile: DeviceProfile, tmp_path: Path, effort: int) -> None:
    path = profile.save(tmp_path / "profile.json")
    value, outcomes = json.loads(path.read_text()), {"read": 0, "refused": 0}
    part = {"mixed": value["mixed"]}

    def whole(spoilt: dict[str, Any]) -> dict[str, Any]:
        return sealed({**value, **spoilt})

    @settings(
        max_examples=150 * effort,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(one_of(spoilt_tree(part, whole), spoilt_bytes(json.dumps(value).encode())))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            check_promises(path)
        except RlpruneError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1

    check()
    assert min(outcomes.values()) > 0, outcomes
