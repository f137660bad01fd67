"""Building profiles without hardware: from recordings, interrupted and not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import Budget
from rlprune.budgets.planner import BudgetPlanner
from rlprune.choices.space import Space
from rlprune.costs import EnergyCost, LatencyCost
from rlprune.devices.meters import PowerModel
from rlprune.devices.meters.base import PowerMeter, Window
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.records import EnergyModel
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.profiling.profiler import build_profile, extend_profile, refit
from rlprune.devices.ready import FOLDER
from rlprune.devices.runtimes.base import Inference
from rlprune.errors import DeviceError, ProfileError
from rlprune.networks.network import Network
from rlprune.zoo import load_zoo, zoo_entry
from tests.devices.recorded import RecordedRuntime

from .conftest import true_latency

Make = Callable[..., RecordedRuntime]
METER = PowerModel(10.0)


def build(network: Network, runtime: RecordedRuntime, path: Path | None = None, seed: int = 0) -> DeviceProfile:
    return build_profile(network, runtime, METER, Effort(plans=16, checks=4, samples=30, seed=seed), path=path)


def timeless(profile: DeviceProfile) -> DeviceProfile:
    sessions = tuple(replace(session, created="", other_load=None) for session in profile.sessions)
    return replace(profile, created="", sessions=sessions)


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
    assert promised_dense(profile, residual_network) == pytest.approx(profile.dense_latency_ms, rel=1e-9)


def promised_dense(profile: DeviceProfile, network: Network) -> float:
    return float(LatencyCost(network, profile)(network.dense_widths[None])[0])


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.35])
def test_the_dense_network_has_one_latency(residual_network: Network, recording: Make, factor: float) -> None:
    """As measured beside the others, promised by the fit, and what budgets are fractions of."""
    plans = choose_plans(residual_network, 10_000, seed=0)
    times = true_latency(residual_network, plans)
    dense = (plans == residual_network.dense_widths).all(axis=1)
    odd = {
        tuple(int(w) for w in plan): [float(ms) * (factor if own else 1.0)]
        for plan, ms, own in zip(plans, times, dense, strict=True)
    }
    profile = build(residual_network, RecordedRuntime(recording().identity, "Odd", odd))
    measured = factor * float(true_latency(residual_network, residual_network.dense_widths)[0])
    assert profile.dense_latency_ms == pytest.approx(measured)
    assert promised_dense(profile, residual_network) == pytest.approx(measured, rel=1e-9)
    half = BudgetPlanner(
        Space(residual_network).choices, {"latency": LatencyCost(residual_network, profile)}, [Budget("latency", 0.9)]
    )
    assert half.limits["latency"] == pytest.approx(0.9 * measured)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_ready_profiles_promise_the_dense_latency_they_measured(path: Path) -> None:
    name = path.stem.split("--")[1]
    if name == "layers":
        pytest.skip("a promise is made of its layers")
    network = Network(load_zoo(name), zoo_entry(name).example_inputs())
    profile = DeviceProfile.load(path)
    assert promised_dense(profile, network) == pytest.approx(profile.dense_latency_ms, rel=1e-9)


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
        stored["phases"]["probe"][0][0][0] = -1.0
    if spoil == "short round":
        stored["phases"]["probe"][0].pop()
    partial.write_text(partial.read_text()[:-40] if spoil == "truncated" else json.dumps(stored))
    assert timeless(build(residual_network, recording(), path)) == timeless(build(residual_network, recording()))


def test_unwritable_folder_is_one_clear_error(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProfileError, match="Cannot write"):
        build(residual_network, recording(), tmp_path / "file" / "profile.json")


@pytest.mark.parametrize("counts", [(7, 4, 30), (16, 0, 30), (16, 4, 4)])
def test_too_few_plans_are_refused(counts: tuple[int, int, int]) -> None:
    plans, checks, samples = counts
    with pytest.raises(DeviceError, match="at least 8 plans"):
        Effort(plans=plans, checks=checks, samples=samples)


@pytest.mark.parametrize("numbers", [{"bound": 0.0}, {"bound": 1.5}, {"limit_s": 0.0}, {"window_s": -1.0}])
def test_impossible_efforts_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(DeviceError, match="bound of a profile"):
        Effort(**numbers)  # type: ignore[arg-type]


def test_absent_runtime_is_one_line(residual_network: Network, recording: Make) -> None:
    runtime = recording()
    runtime.available = lambda: "it is somewhere else"  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="it is somewhere else"):
        build(residual_network, runtime)


class Metered(PowerMeter):
    """A device that draws 10 W, 2 W of them idle, and 0.5 mJ more for a million multiply-adds."""

    source = "a test meter"

    def __init__(self, network: Network, fails_after: int = 1000) -> None:
        self._network, self._left = network, fails_after
        self.plan: tuple[int, ...] = ()
        self.windows: list[float] = []

    def measure(self, work: Callable[[], int], seconds: float = 5.0) -> Window:
        self._left -= 1
        if self._left < 0:
            raise DeviceError("The meter stopped answering.")
        work()
        widths = np.array(self.plan)
        latency = float(true_latency(self._network, widths)[0])
        energy = 10 * latency + 0.5 * float(self._network.macs(widths)[0]) / 1e6
        self.windows.append(seconds)
        return Window(seconds, runs=100, energy_mj=100 * energy)

    def idle_watts(self, seconds: float = 5.0) -> float:
        return 2.0


class Watched(RecordedRuntime):
    """Tells the meter which plan runs."""

    meter: Metered

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        self.meter.plan = inference.widths
        return super().time(inference, repeats)


def watched(network: Network, recorded: RecordedRuntime, fails_after: int = 1000) -> Watched:
    runtime = Watched(recorded.identity, recorded.device_name(), recorded.samples_ms)
    runtime.meter = Metered(network, fails_after)
    return runtime


def test_energy_is_fitted_to_the_meter(residual_network: Network, recording: Make) -> None:
    runtime = watched(residual_network, recording())
    effort = Effort(plans=16, checks=4, samples=30, window_s=3.0)
    profile = build_profile(residual_network, runtime, runtime.meter, effort)
    energy = profile.energy
    assert (energy.measured, energy.source, energy.idle_watts) == (True, "a test meter", 2.0)
    assert set(runtime.meter.windows) == {3.0}
    assert 4 <= len(profile.readings) <= 12
    plans = choose_plans(residual_network.restricted(profile.widths), 30, seed=9)
    true = 10 * true_latency(residual_network, plans) + 0.5 * residual_network.macs(plans) / 1e6
    promised = EnergyCost(residual_network, profile)(plans)
    assert np.abs(promised / true - 1).max() < 0.03
    assert energy.error.plans == len(profile.readings)
    assert energy.error.worst < 0.1
    assert energy.above_idle(5.0, 1.0) == 3.0


def test_a_meter_that_fails_loses_no_reading(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    path, effort = tmp_path / "profile.json", Effort(plans=16, checks=4, samples=30)
    failing = watched(residual_network, recording(), fails_after=3)
    with pytest.raises(DeviceError, match=r"stopped answering.*kept in .*partial\.json"):
        build_profile(residual_network, failing, failing.meter, effort, path=path)
    assert not path.exists()
    whole = watched(residual_network, recording())
    resumed = build_profile(residual_network, whole, whole.meter, effort, path=path)
    assert len(whole.meter.windows) == len(resumed.readings) - 3
    again = watched(residual_network, recording())
    unbroken = build_profile(residual_network, again, again.meter, effort)
    assert timeless(resumed) == timeless(unbroken)


def test_stated_power_is_watts_alone(residual_network: Network, recording: Make) -> None:
    profile = build(residual_network, recording())
    assert profile.energy == EnergyModel.stated(10.0, METER.source)
    assert profile.readings == ()
    assert any("not measured" in warning for warning in profile.warnings())


class Vanishing(RecordedRuntime):
    """A device that stops answering."""

    left = 100

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        self.left -= 1
        if self.left < 0:
            raise DeviceError("The device stopped answering.")
        return super().time(inference, repeats)


def test_a_device_that_disappears_loses_no_round(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    path, recorded = tmp_path / "profile.json", recording()
    vanishing = Vanishing(recorded.identity, recorded.device_name(), recorded.samples_ms)
    with pytest.raises(DeviceError, match=r"stopped answering.*the same command goes on"):
        build(residual_network, vanishing, path)
    assert json.loads(Path(f"{path}.partial.json").read_text())["phases"]["probe"]
    assert timeless(build(residual_network, recorded, path)) == timeless(build(residual_network, recording()))


def test_tails_are_lines_that_the_samples_show(residual_network: Network, recording: Make) -> None:
    profile = build(residual_network, recording(samples=400, noise=0.5))
    latency = np.array([plan.latency_ms for plan in profile.measured])
    tails = {name: model(latency) for name, model in profile.tails.items()}
    assert (tails["p50"] < tails["p95"]).all()
    assert (tails["p95"] < tails["p99"]).all()
    assert np.abs(tails["p95"] / latency - 1.475).max() < 0.06
    assert profile.tails["p95"].error.plans == 4
    assert min(model.offset_ms for model in profile.tails.values()) >= 0


def test_a_noisy_measurement_says_so(residual_network: Network, recording: Make) -> None:
    effort = Effort(plans=16, checks=4, samples=30, bound=0.001)
    noisy = build_profile(residual_network, recording(samples=1000, noise=0.5), METER, effort)
    assert not noisy.settled
    assert noisy.samples > 30
    assert any("noisy" in warning for warning in noisy.warnings())
    assert not any("noisy" in warning for warning in build(residual_network, recording()).warnings())


def test_measuring_stops_when_the_time_is_up(residual_network: Network, recording: Make) -> None:
    effort = Effort(plans=16, checks=4, samples=3000, limit_s=1e-6)
    assert build_profile(residual_network, recording(), METER, effort).samples == 10


def test_extension_adds_plans_and_cancels_drift(residual_network: Network, recording: Make, tmp_path: Path) -> None:
    first = build(residual_network, recording())
    slower = {widths: [2 * ms for ms in times] for widths, times in recording().samples_ms.items()}
    runtime = RecordedRuntime(recording().identity, "Imagined CPU", slower)
    effort = Effort(plans=8, checks=2, samples=30)
    path = tmp_path / "extended.json"
    extended = extend_profile(first, residual_network, runtime, effort, path=path)
    assert DeviceProfile.load(path) == extended
    assert list(tmp_path.iterdir()) == [path]
    assert len(extended.sessions) == 2
    assert len({plan.widths for plan in extended.measured}) == len(extended.measured) > len(first.measured)
    new = [plan for plan in extended.measured if plan.session == 1]
    assert sum(plan.held_out for plan in new) == 2
    for plan in new:
        assert plan.latency_ms == pytest.approx(true_latency(residual_network, np.array(plan.widths))[0])
    assert extended.dense_latency_ms == first.dense_latency_ms
    assert extended.held_out.plans == 6


def test_extension_is_refused_elsewhere_and_when_nothing_is_left(
    residual_network: Network, depthwise_network: Network, recording: Make
) -> None:
    first, effort = build(residual_network, recording()), Effort(plans=8, checks=2, samples=30)
    other = RecordedRuntime(recording().identity, "Another CPU", recording().samples_ms)
    with pytest.raises(ProfileError, match="Another CPU"):
        extend_profile(first, residual_network, other, effort)
    with pytest.raises(ProfileError, match="another network"):
        extend_profile(first, depthwise_network, recording(), effort)
    everything = Effort(plans=1000, checks=2, samples=5)
    complete = extend_profile(first, residual_network, recording(), everything)
    with pytest.raises(ProfileError, match="measured already"):
        extend_profile(complete, residual_network, recording(), effort)
    with pytest.raises(ProfileError, match="made of layers"):
        extend_profile(replace(first, basis="layers"), residual_network, recording(), effort)


def test_refitting_changes_nothing_but_heals_what_was_lost(residual_network: Network, recording: Make) -> None:
    profile = build(residual_network, recording(noise=0.1))
    assert refit(profile, residual_network) == profile
    spoiled = replace(profile, predictor=replace(profile.predictor, intercept_ms=99.0), tails={})
    assert refit(spoiled, residual_network) == profile
    with pytest.raises(ProfileError, match="no measured plans"):
        refit(replace(profile, measured=()), residual_network)


def test_a_progress_bar_shows_on_stderr_only(
    residual_network: Network, recording: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    build(residual_network, recording())
    assert capsys.readouterr() == ("", "")
    build_profile(residual_network, recording(), METER, Effort(plans=16, checks=4, samples=30), progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "time" in shown.err


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
