"""The profile's JSON: round trip, and one clear error for everything that can be wrong with it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlprune.costs import EnergyCost, LatencyCost, TailCost
from rlprune.devices import Device
from rlprune.devices.grid.layer_profile import LayerProfile
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiles.digest import sealed
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.records import ErrorSummary
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.ready import FOLDER
from rlprune.errors import ProfileError
from rlprune.experiments.pipeline.provenance import provenance_of
from rlprune.experiments.surveys.profiling import profile_facts
from rlprune.networks.network import Network

from .conftest import Residual


@pytest.fixture(scope="module")
def profile(residual_network: Network, recording: Callable[..., Any]) -> DeviceProfile:
    return build_profile(residual_network, recording(), PowerModel(12.5), Effort(plans=16, checks=4, samples=20))


@pytest.fixture
def saved(profile: DeviceProfile, tmp_path: Path) -> Path:
    return profile.save(tmp_path / "profile.json")


def edit(path: Path, *keys: Any, value: Any = None) -> Path:
    """Change one value of a profile and seal it again; without a value, delete it."""
    whole = inner = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(sealed(whole)))
    return path


def test_round_trip(profile: DeviceProfile, saved: Path, residual_network: Network) -> None:
    loaded = DeviceProfile.load(saved)
    assert loaded == profile
    plans = choose_plans(residual_network, 10, 0)
    cost = LatencyCost(residual_network, loaded)
    assert (cost(plans) == LatencyCost(residual_network, profile)(plans)).all()


def test_energy_is_watts_times_milliseconds(profile: DeviceProfile, residual_network: Network) -> None:
    plans = choose_plans(residual_network, 10, 0)
    latency, energy = LatencyCost(residual_network, profile), EnergyCost(residual_network, profile)
    assert energy(plans) == pytest.approx(12.5 * latency(plans))
    assert (latency.unit, energy.unit) == ("ms", "mJ")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="Cannot read"):
        DeviceProfile.load(tmp_path / "nowhere.json")


def test_a_truncated_file(saved: Path) -> None:
    saved.write_text(saved.read_text()[:-100])
    with pytest.raises(ProfileError, match="truncated"):
        DeviceProfile.load(saved)


@pytest.mark.parametrize("schema", ["rlprune-device-profile/1", "something else", 1, None])
def test_another_schema(saved: Path, schema: Any) -> None:
    with pytest.raises(ProfileError, match=r"must have the schema 'rlprune-device-profile/2'"):
        DeviceProfile.load(edit(saved, "schema", value=schema))


def test_a_newer_schema_says_so(saved: Path) -> None:
    with pytest.raises(ProfileError, match=r"newer rlprune.*Update rlprune"):
        DeviceProfile.load(edit(saved, "schema", value="rlprune-device-profile/10"))


def test_an_edited_file(saved: Path) -> None:
    value = json.loads(saved.read_text())
    value["measured"][0]["latency_ms"] *= 0.9
    saved.write_text(json.dumps(value))
    with pytest.raises(ProfileError, match="edited"):
        DeviceProfile.load(saved)
    del value["digest"]
    saved.write_text(json.dumps(value))
    with pytest.raises(ProfileError, match="edited"):
        DeviceProfile.load(saved)


def test_widths_below_all_that_were_measured_are_refused(profile: DeviceProfile, residual_network: Network) -> None:
    cost = LatencyCost(residual_network, profile)
    lowest = profile.lowest()
    assert cost(lowest[None]).shape == (1,)
    with pytest.raises(ProfileError, match=r"measured 'stem' down to \d+ channels; \d came"):
        cost(lowest[None] - np.array([1, 0]))


@pytest.mark.parametrize("quantile", ["p50", "p95", "p99"])
def test_tails_never_fall_when_a_width_rises(profile: DeviceProfile, residual_network: Network, quantile: str) -> None:
    cost = TailCost(residual_network, profile, quantile)
    plans = choose_plans(residual_network.restricted(profile.widths), 200, 0)
    costs = cost(plans)
    above = (plans[:, None] >= plans[None]).all(axis=2)
    assert (costs[:, None] >= costs[None] - 1e-12)[above].all()
    assert (cost.metric, cost.unit) == (f"latency_{quantile}", "ms")


def test_an_unknown_quantile(profile: DeviceProfile, residual_network: Network) -> None:
    with pytest.raises(ProfileError, match="Did you mean 'p99'"):
        TailCost(residual_network, profile, "p98")


def test_warnings(profile: DeviceProfile) -> None:
    assert not any("describes" in warning for warning in profile.warnings(profile.device))
    assert any("this machine is Other CPU" in warning for warning in profile.warnings("Other CPU"))
    disturbed = replace(profile, sessions=(replace(profile.sessions[0], other_load=1.4, spread=0.2),))
    assert not disturbed.settled
    found = " ".join(disturbed.warnings())
    assert "differ by 20.0%, 3.0% was asked for" in found
    assert "kept 1.4 cores busy" in found


def test_every_key_is_needed(profile: DeviceProfile, saved: Path) -> None:
    content = saved.read_text()
    for key in set(profile.to_dict()) - {"digest"}:
        saved.write_text(content)
        with pytest.raises(ProfileError, match=key):
            DeviceProfile.load(edit(saved, key))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("dense_latency_ms",), -1.0),
        (("dense_latency_ms",), 0),
        (("dense_latency_ms",), math.nan),
        (("dense_latency_ms",), "fast"),
        (("measured", 0, "latency_ms"), math.nan),
        (("measured", 0, "latency_ms"), -0.5),
        (("measured", 0, "widths"), [16]),
        (("measured", 0, "held_out"), "no"),
        (("measured",), {"widths": []}),
        (("widths", "stem"), [4, 8.5, 16]),
        (("widths", "stem"), [8, 4, 16]),
        (("widths", "stem"), [0, 16]),
        (("widths", "stem"), "all"),
        (("widths",), {}),
        (("widths",), [16]),
        (("energy", "watts"), 0),
        (("energy", "measured"), 1),
        (("energy", "idle_watts"), -1),
        (("predictor", "intercept_ms"), math.inf),
        (("predictor", "block"), 0),
        (("predictor", "layers", "stem"), {"macs": -1e-6}),
        (("predictor", "layers", "stem"), {"weight": 1.0}),
        (("runtime", "threads"), -1),
        (("runtime", "name"), 7),
        (("predictor", "steps", "stem"), [[16]]),
        (("predictor", "steps", "stem"), [[16, -0.1]]),
        (("tails", "p99", "factor"), -1.0),
        (("tails", "p99"), None),
        (("sessions",), []),
        (("sessions", 0, "spread"), "low"),
        (("measured", 0, "tails_ms"), [1.0]),
        (("measured", 0, "session"), 7),
        (("basis",), "guess"),
        (("notes",), "none"),
        (("readings",), [{"widths": [1, 2], "energy_mj": 0.0, "latency_ms": 1.0, "seconds": 1.0}]),
        (("energy", "base_mj"), -1.0),
        (("held_out", "median"), None),
    ],
)
def test_wrong_values(saved: Path, keys: tuple[Any, ...], value: Any) -> None:
    edit(saved, *keys, value="null" if value is None else value)
    with pytest.raises(ProfileError):
        DeviceProfile.load(saved)


def test_an_error_says_file_place_rule_what_came_and_what_to_do(saved: Path) -> None:
    edit(saved, "measured", 0, "latency_ms", value=-0.5)
    with pytest.raises(ProfileError) as refused:
        DeviceProfile.load(saved)
    told = "measured[0].latency_ms: expected float > 0.0; -0.5 came. Measure it again."
    assert str(refused.value) == f"{saved}: {told}"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_ready_profiles_are_written_as_they_were_read(path: Path, tmp_path: Path) -> None:
    kind = LayerProfile if path.stem.endswith("--layers") else DeviceProfile
    assert kind.load(path).save(tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_the_network_it_was_made_for(profile: DeviceProfile, residual_network: Network) -> None:
    profile.check(residual_network)
    profile.check(residual_network.restricted(profile.widths))


def test_another_network_names_the_first_group_that_differs(
    profile: DeviceProfile, depthwise_network: Network, residual_network: Network
) -> None:
    with pytest.raises(ProfileError, match="'stem' with 16 channels where this network has '0' with 16"):
        profile.check(depthwise_network)
    with pytest.raises(ProfileError, match="another network"):
        LatencyCost(depthwise_network, profile)
    wider = Residual()
    wider.first.out_channels = 32
    narrow = Network(Residual(), residual_network.example_inputs, multiple=4, ignore=("first",))
    with pytest.raises(ProfileError, match="group 'first'"):
        profile.check(narrow)


def test_other_input_sizes_are_another_network(profile: DeviceProfile, residual_network: Network) -> None:
    import torch

    larger = Network(residual_network.model, torch.randn(1, 1, 16, 16), multiple=4)
    with pytest.raises(ProfileError, match="input sizes differ"):
        profile.check(larger)


def test_error_summary() -> None:
    summary = ErrorSummary.of(np.array([-0.1, 0.02, 0.03]))
    assert (summary.median, summary.worst, summary.plans) == (0.03, 0.1, 3)
    assert ErrorSummary.of(np.array([])).plans == 0


def test_a_tail_that_is_far_off_is_not_promised(profile: DeviceProfile, residual_network: Network) -> None:
    bad = replace(profile.tails["p99"], error=ErrorSummary(0.989, 1.2, 2.0, 16))
    noisy = replace(profile, tails={**profile.tails, "p99": bad})
    TailCost(residual_network, noisy, "p95")
    with pytest.raises(ProfileError, match=r"latency_p99 needs a profile that promises it.*99% off.*limit latency"):
        TailCost(residual_network, noisy, "p99")
    facts = provenance_of(Device("cpu", "cpu", None), noisy, None, [])
    assert facts.p99(1.0) is None
    assert "not promised" in facts.facts["profile p99 error"]
    shown = profile_facts(noisy)
    assert "not promised" in shown["latency, p99"]
    assert "x latency" not in shown["latency, p99"]
    assert "x latency" in shown["latency, p95"]
