"""Building profiles without hardware: from recordings, interrupted and not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlprune.devices.meters import PowerModel
from rlprune.devices.meters.base import PowerMeter, Work
from rlprune.devices.plans import choose_plans
from rlprune.devices.profile import DeviceProfile
from rlprune.devices.profiler import build_profile
from rlprune.devices.recorded import RecordedRuntime, Recorder
from rlprune.devices.runtimes.base import Inference
from rlprune.errors import DeviceError, ProfileError
from rlprune.network import FloatArray, IntArray, Network

from .conftest import true_latency

Make = Callable[..., RecordedRuntime]
METER = PowerModel(10.0)


def build(network: Network, runtime: RecordedRuntime, path: Path | None = None, seed: int = 0) -> DeviceProfile:
    return build_profile(network, runtime, METER, plans=16, checks=4, samples=30, seed=seed, path=path)


def timeless(profile: DeviceProfile) -> DeviceProfile:
    return replace(profile, created="")


def test_profile_of_a_recorded_device(residual_network: Network, recording: Make) -> None:
    profile = build(residual_network, recording())
    plans = choose_plans(residual_network, 30, seed=9)
    true = true_latency(residual_network, plans)
    errors = np.abs(profile.predictor.bind(residual_network)(plans) / true - 1)
    assert errors.max() < 0.02
    assert profile.held_out.plans == 4
    assert profile.held_out.worst < 0.02
    assert profile.dense_latency_ms == pytest.approx(true_latency(residual_network, residual_network.dense_widths)[0])
    assert profile.device == "Imagined CPU"
    assert profile.samples == 30
    assert profile.spread == 0.0
    assert sum(plan.held_out for plan in profile.measured) == 4


def test_states_its_error_when_the_device_obeys_no_rule(residual_network: Network, recording: Make) -> None:
    plans = choose_plans(residual_network, 10_000, seed=0)
    times = np.random.default_rng(0).random(len(plans)) + 0.5
    chaos = {tuple(int(w) for w in plan): [float(ms)] for plan, ms in zip(plans, times, strict=True)}
    profile = build(residual_network, RecordedRuntime(recording().identity, "Chaos", chaos))
    assert profile.held_out.worst > 0.05
    assert profile.cross_validated.p90 > 0.05


def test_spread_is_seen(residual_network: Network, recording: Make) -> None:
    assert build(residual_network, recording(noise=0.3)).spread > 0


def test_the_profile_is_saved_and_nothing_else(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    profile = build(residual_network, recording(), path)
    assert DeviceProfile.load(path) == profile
    assert list(tmp_path.iterdir()) == [path]


class Breaking(RecordedRuntime):
    """A recording that is interrupted once, after so many timed plans."""

    def __init__(self, recorded: RecordedRuntime, after: int) -> None:
        super().__init__(recorded.identity, recorded.device_name(), recorded.samples_ms)
        self.left = after

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().time(inference, repeats)


@pytest.mark.parametrize("after", [3, 20, 77])
def test_resumed_equals_unbroken(residual_network: Network, recording: Make, tmp_path: Path, after: int) -> None:
    path = tmp_path / "profile.json"
    broken = Breaking(recording(samples=1), after)
    with pytest.raises(KeyboardInterrupt):
        build(residual_network, broken, path)
    assert not path.exists()
    before = broken.left
    resumed = build(residual_network, broken, path)
    unbroken = build(residual_network, recording(samples=1))
    assert timeless(resumed) == timeless(unbroken)
    assert before == 0
    assert list(tmp_path.iterdir()) == [path]


def test_resuming_repeats_no_finished_round(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    count = Breaking(recording(), 10_000)
    build(residual_network, count)
    needed = 10_000 - count.left
    broken = Breaking(recording(), 70)
    with pytest.raises(KeyboardInterrupt):
        build(residual_network, broken, path)
    stored = json.loads(Path(f"{path}.partial.json").read_text())["phases"]
    done = sum(len(one_round) for rounds in stored.values() for one_round in rounds)
    assert done > 0
    broken.left = 10_000
    build(residual_network, broken, path)
    assert 10_000 - broken.left == needed - done


@pytest.mark.parametrize("spoil", ["other seed", "truncated", "negative", "short round"])
def test_unfit_partial_samples_are_not_used(
    residual_network: Network, recording: Make, tmp_path: Path, spoil: str
) -> None:
    path = tmp_path / "profile.json"
    partial = Path(f"{path}.partial.json")
    with pytest.raises(KeyboardInterrupt):
        build(residual_network, Breaking(recording(), 70), path, seed=1 if spoil == "other seed" else 0)
    stored = json.loads(partial.read_text())
    if spoil == "negative":
        stored["phases"]["probe"][0][0] = -1.0
    if spoil == "short round":
        stored["phases"]["probe"][0].pop()
    partial.write_text(partial.read_text()[:-40] if spoil == "truncated" else json.dumps(stored))
    assert timeless(build(residual_network, recording(), path)) == timeless(build(residual_network, recording()))


def test_unwritable_folder_is_one_clear_error(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProfileError, match="Cannot write"):
        build(residual_network, recording(), tmp_path / "file" / "profile.json")


@pytest.mark.parametrize("counts", [(7, 4, 30), (16, 0, 30), (16, 4, 4)])
def test_too_few_plans_are_refused(residual_network: Network, recording: Make, counts: tuple[int, int, int]) -> None:
    plans, checks, samples = counts
    with pytest.raises(DeviceError, match="at least 8 plans"):
        build_profile(residual_network, recording(), METER, plans=plans, checks=checks, samples=samples)


def test_absent_runtime_is_one_line(residual_network: Network, recording: Make) -> None:
    runtime = recording()
    runtime.available = lambda: "it is somewhere else"  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="it is somewhere else"):
        build(residual_network, runtime)


class Measuring(PowerMeter):
    """A meter that reads 40 W, 20 W and, at rest, 5 W."""

    source = "a test meter"

    def __init__(self) -> None:
        self.readings = iter([40.0, 20.0, 5.0])
        self.windows: list[float] = []

    def _average_watts(self, work: Work, seconds: float) -> float:
        work()
        self.windows.append(seconds)
        return next(self.readings)


def test_measured_power_is_the_mean_of_both_ends(residual_network: Network, recording: Make) -> None:
    meter = Measuring()
    profile = build_profile(residual_network, recording(), meter, plans=16, checks=4, samples=30)
    assert (profile.power.watts, profile.power.idle_watts) == (30.0, 5.0)
    assert profile.power.measured
    assert profile.power.source == "a test meter"
    assert min(meter.windows) >= 1.0


def test_stated_power_has_no_idle_figure(residual_network: Network, recording: Make) -> None:
    power = build(residual_network, recording()).power
    assert (power.watts, power.measured, power.idle_watts) == (10.0, False, None)


def test_a_progress_bar_shows_on_stderr_only(
    residual_network: Network, recording: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    build(residual_network, recording())
    assert capsys.readouterr() == ("", "")
    build_profile(residual_network, recording(), METER, plans=16, checks=4, samples=30, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "time" in shown.err


def test_recorder_keeps_what_a_runtime_measured(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    recorder = Recorder(recording(noise=0.3))
    first = build(residual_network, recorder)  # type: ignore[arg-type]
    replayed = RecordedRuntime.open(recorder.recording().save(tmp_path / "recording.json"))
    assert timeless(build(residual_network, replayed)) == timeless(first)


def test_recordings_are_checked(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    path = recording(samples=2).save(tmp_path / "recording.json")
    with pytest.raises(DeviceError, match="no plan with widths"):
        recording().load(residual_network, np.array([1, 1]))
    path.write_text(path.read_text().replace("recording/1", "recording/9"))
    with pytest.raises(DeviceError, match="schema"):
        RecordedRuntime.open(path)
    with pytest.raises(DeviceError, match="positive"):
        RecordedRuntime(recording().identity, "x", {(1, 2): [0.0]})


def widths_of(profile: DeviceProfile) -> list[IntArray]:
    return [np.array(plan.widths) for plan in profile.measured]


def test_only_paying_widths_are_fitted(residual_network: Network, recording: Make) -> None:
    """On a device that computes in blocks of 16, no width between two blocks is measured in the second phase."""
    plans = choose_plans(residual_network, 10_000, seed=0)
    blocked = true_latency(residual_network, -(-plans // 16) * 16)
    rows = {tuple(int(w) for w in plan): [float(ms)] for plan, ms in zip(plans, blocked, strict=True)}
    profile = build(residual_network, RecordedRuntime(recording().identity, "Blocks", rows))
    assert profile.widths == {"stem": (16,), "first": (16, 32)}
    assert {int(w[1]) for w in widths_of(profile)} == {16, 32}
