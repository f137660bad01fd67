"""Mixes from the command line: measured, gone on with, drawn, and used by a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlprune.choices.choice import Kind
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.devices import Device, DeviceProfile
from rlprune.devices.profiling.mixed_profiler import add_mixes
from rlprune.errors import ProfileError, RunError
from rlprune.experiments.pipeline import device_profile
from rlprune.experiments.pipeline.device_profile import with_mixes
from rlprune.experiments.pipeline.profile_plans import profile_plans
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.reports.profile_pictures import MIXES, draw_profile, promise_of_mixes
from rlprune.experiments.runs.result import result_of_values
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.surveys import profiling
from rlprune.support.records import as_plain
from tests.devices.mixed_truth import PAYS, FormulaRuntime, measured, network, truth_of
from tests.devices.test_mixed import fitted, profile_of, rows_for_fit, space_for_fit

DIGITS = ("--network", "digits-resnet", "--device", "synthetic:gpu", "--decide", "channels,depth", "--multiple", 16)
FEW = ("--plans", 8, "--checks", 2, "--samples", 10)
MIXED: tuple[Kind, ...] = ("depth", "channels", "bits")


class Notes(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def profile() -> DeviceProfile:
    space = space_for_fit("tower")
    plans = measured(truth_of(space, PAYS), space, rows_for_fit(space, 40), held_out=8)
    return profile_of(space, fitted(space, plans, tuple(space.int8.names)))


def test_the_pictures_show_every_mix_that_something_is_promised_of(profile: DeviceProfile, tmp_path: Path) -> None:
    series = profile_plans(profile, network("tower"), "tower")
    mixes = series.mixes
    assert mixes is not None
    assert profile.mixed is not None
    plans = [plan for plan in profile.mixed.measured if plan.promised_ms is not None]
    assert mixes.measured_ms == [plan.latency_ms for plan in plans]
    assert mixes.error == profile.mixed.held_out
    axes = promise_of_mixes(series).axes[0]
    drawn = {line.get_label(): len(np.asarray(line.get_xdata())) for line in axes.lines}
    assert drawn["never seen by the fit"] == sum(plan.held_out for plan in plans)
    assert sum(drawn[label] for label in MIXES) == len(plans)
    assert drawn["dropped, in int8"] == sum(bool(plan.dropped) and bool(plan.int8) for plan in plans) > 0
    written = [path.stem for path in draw_profile(series, tmp_path)]
    assert written == ["profile-promise", "profile-mixes", "profile-surface", "profile-energy"]


def test_a_profile_without_mixes_draws_nothing_more(profile: DeviceProfile, tmp_path: Path) -> None:
    plain = profile_of(space_for_fit("tower"), None)
    series = profile_plans(plain, network("tower"), "tower")
    assert "mixes" not in as_plain(series)
    assert "profile-mixes" not in [path.stem for path in draw_profile(series, tmp_path)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mixed")


@pytest.fixture
def digits(call: Any, folder: Path) -> Path:
    """A profile of the synthetic GPU that says what blocks save, measured once."""
    path = folder / "gpu.json"
    if not path.exists():
        called = call("profile", *DIGITS, *FEW, "--out", path)
        assert called.code == 0, called.err
        assert "dropped blocks, int8" in called.out
        assert "profile-mixes.png" in called.out.replace("\n", "")
    return path


def test_what_dropped_blocks_save_is_measured(digits: Path) -> None:
    found = DeviceProfile.load(digits).mixed
    assert found is not None
    assert found.layers == ()
    assert found.int8_ratio is None
    assert found.shares
    assert found.held_out.plans > 0
    assert found.held_out.median < 0.2
    assert digits.with_name("gpu-pictures").joinpath("profile-mixes.png").read_bytes().startswith(b"\x89PNG")
    assert not digits.with_name("gpu.json.partial.json").exists()


def test_an_interrupted_measurement_of_mixes_does_not_begin_again(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gpu.json"
    arguments = ("profile", *DIGITS, *FEW, "--out", path, "--no-pictures")

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rlprune.devices.profiling.mixed_profiler.Mixes.plans", interrupted)
        assert call(*arguments).code != 0
    first = DeviceProfile.load(path)
    assert first.mixed is None
    assert path.with_name("gpu.json.partial.json").exists()
    monkeypatch.setattr(profiling, "build_profile", interrupted)
    called = call(*arguments)
    assert called.code == 0, called.err
    assert DeviceProfile.load(path).created == first.created
    assert DeviceProfile.load(path).mixed is not None


@pytest.mark.slow
def test_a_run_with_blocks_promises_what_the_profile_says(call: Any, digits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = ("--network", "digits-resnet", "--device", digits, "--decide", "channels,depth", "--multiple", 16)
    quick = ("--episodes", 6, "--finalists", 1, "--samples", 64, "--profile-samples", 10, "--budget", "latency=0.6")
    called = call("train", *flags, *quick, "--out", run, "--json")
    assert called.code == 0, called.err
    limit = called.json["limits"]["latency_ms"]
    assert all(row["latency_promised_ms"] <= limit * 1.000001 for row in called.json["rows"][1:])
    assert (run / "pictures" / "profile-mixes.png").is_file()
    assert "profile-mixes.png" in (run / "report.md").read_text()
    result = json.loads((run / "result.json").read_text())
    assert json.loads(json.dumps(result_of_values(result, "result.json").as_dict())) == result
    for name, value in (("held_out", [1]), ("promised_ms", ["1"]), ("error", {})):
        spoilt = {**result, "profile": {**result["profile"], "mixes": {**result["profile"]["mixes"], name: value}}}
        with pytest.raises(RunError, match=f"profile.mixes.{name}"):
            result_of_values(spoilt, "result.json")


@pytest.fixture
def space() -> Space:
    return Space(network("tower"), Scope(MIXED))


def test_mixes_are_measured_where_they_are_decided_and_can_be(space: Space, tmp_path: Path) -> None:
    plain, notes = profile_of(space, None), Notes()
    device = Device("cpu:onnxruntime", "cpu", FormulaRuntime(space, truth_of(space, PAYS)))
    config = TrainConfig(profile_samples=5, profile_bound=0.9)
    found = with_mixes(plain, space, device, config, notes, lambda: tmp_path / "profile.json")
    assert found.mixed is not None
    assert found == DeviceProfile.load(tmp_path / "profile.json")
    assert notes.seconds["profile"] > 0
    assert with_mixes(found, space, device, config, notes) is found
    assert with_mixes(plain, Space(network("tower")), device, config, notes) is plain


def test_where_nothing_can_be_measured_it_is_told(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    def measuring(*_: Any, **__: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(device_profile, "add_mixes", measuring)
    plain = profile_of(space, None)
    runtime = FormulaRuntime(space, truth_of(space, PAYS))
    for given, there in ((plain, None), (replace(plain, basis="layers"), runtime)):
        notes = Notes()
        assert with_mixes(given, space, Device("cpu", "cpu", there), TrainConfig(), notes) is given
        assert "taken to be the time of their layers" in notes.lines[0]


def test_a_profile_of_another_network_is_refused_before_anything_is_measured(space: Space) -> None:
    other = Space(network("residual"), Scope(MIXED))
    with pytest.raises(ProfileError, match="another network"):
        add_mixes(profile_of(other, None), space, FormulaRuntime(space, truth_of(space, PAYS)))
