"""Recordings: they replay what a device and its meter showed, and refuse what none can have shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlprune.arrays import IntArray
from rlprune.devices.meters import PowerModel
from rlprune.devices.meters.base import PowerMeter
from rlprune.devices.recorded import RecordedMeter, RecordedRuntime, Recorder
from rlprune.devices.recording import Extras, Plan
from rlprune.devices.runtimes.base import Inference, RuntimeIdentity
from rlprune.devices.simulated import SimulatedGpu
from rlprune.errors import DeviceError
from rlprune.networks.network import Network

IDENTITY = RuntimeIdentity("torch", "2.0", "cuda 12", 0, 1, "float32")
SAMPLES: dict[Plan, tuple[float, ...]] = {(16, 32): (2.0, 4.0), (8, 16): (1.0, 1.0)}
EXTRAS = Extras({(16, 32): 30.0, (8, 16): 10.0}, {(16, 32): 4096}, 2.5, "NVML energy counter")
DENSE, HALF = np.array([16, 32]), np.array([8, 16])


def recorded(extras: Extras | None = EXTRAS, fails_after: int | None = None) -> RecordedRuntime:
    return RecordedRuntime(IDENTITY, "Imagined GPU", SAMPLES, extras, fails_after=fails_after)


def times(runtime: Any, inference: Inference, repeats: int) -> Callable[[], int]:
    def work() -> int:
        runtime.time(inference, repeats)
        return repeats

    return work


def test_energy_is_of_the_plan_that_runs(residual_network: Network) -> None:
    runtime = recorded()
    meter = RecordedMeter(runtime)
    dense, half = runtime.load(residual_network, DENSE), runtime.load(residual_network, HALF)
    window = meter.measure(times(runtime, dense, 5), seconds=6.0)
    assert (window.seconds, window.runs, window.lengthened) == (6.0, 2000, False)
    assert (window.ms_per_run, window.mj_per_run, window.watts) == (3.0, 30.0, 10.0)
    assert meter.measure(times(runtime, half, 5)).mj_per_run == 10.0
    dense()
    assert meter.measure(lambda: 1).mj_per_run == 30.0
    assert meter.measure(lambda: 1, seconds=0.1).lengthened
    assert meter.idle_watts() == 2.5
    assert (meter.source, meter.measured, meter.reason) == ("NVML energy counter", True, None)


def test_memory_is_replayed(residual_network: Network) -> None:
    runtime = recorded()
    assert runtime.peak_bytes(runtime.load(residual_network, DENSE)) == 4096
    assert runtime.peak_bytes(runtime.load(residual_network, HALF)) is None


def test_energy_that_was_not_recorded_is_not_invented(residual_network: Network) -> None:
    absent = RecordedMeter(recorded(None))
    assert absent.reason is not None
    with pytest.raises(DeviceError, match="holds no energy"):
        absent.measure(lambda: 1)
    runtime = recorded(Extras({(16, 32): 30.0}, meter="a meter"))
    meter = RecordedMeter(runtime)
    with pytest.raises(DeviceError, match="none ran"):
        meter.measure(lambda: 1)
    with pytest.raises(DeviceError, match=r"none of the plan with widths \[8, 16\]"):
        meter.measure(times(runtime, runtime.load(residual_network, HALF), 1))
    assert meter.idle_watts() is None


def test_a_device_that_disappears(residual_network: Network) -> None:
    runtime = recorded(fails_after=2)
    dense = runtime.load(residual_network, DENSE)
    assert [runtime.time(dense, 1)[0], runtime.time(dense, 1)[0]] == [2.0, 4.0]
    for _ in range(2):
        with pytest.raises(DeviceError, match="Imagined GPU stopped answering"):
            runtime.time(dense, 1)
    runtime.fails_after = None
    assert runtime.time(dense, 1)[0] == 2.0


def test_only_its_own_inferences_run() -> None:
    with pytest.raises(DeviceError, match="loaded itself"):
        recorded().time(lambda: None, 1)
    with pytest.raises(DeviceError, match="loaded itself"):
        recorded().peak_bytes(lambda: None)


def test_a_recording_survives_its_file(tmp_path: Path) -> None:
    again = RecordedRuntime.open(recorded().save(tmp_path / "recording.json"))
    assert (again.identity, again.device_name()) == (IDENTITY, "Imagined GPU")
    assert (again.samples_ms, again.extras) == (SAMPLES, EXTRAS)


def test_the_first_schema_is_read(tmp_path: Path) -> None:
    path = recorded().save(tmp_path / "recording.json")
    value = json.loads(path.read_text())
    old = {key: value[key] for key in ("device", "runtime")} | {"schema": "rlprune-recording/1"}
    del old["runtime"]["warmup"]  # the first recordings had none
    old["plans"] = [{key: plan[key] for key in ("widths", "samples_ms")} for plan in value["plans"]]
    path.write_text(json.dumps(old))
    again = RecordedRuntime.open(path)
    assert (again.samples_ms, again.extras) == (SAMPLES, Extras())


def change(*keys: str | int, to: Any = None) -> Callable[[dict[str, Any]], None]:
    """Sets a value; without one its key goes."""

    def spoil(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        if to is None:
            del value[keys[-1]]
        else:
            value[keys[-1]] = to

    return spoil


SPOILED = [
    (change("schema", to="rlprune-recording/3"), "newer rlprune"),
    (change("schema", to="rlprune-device-profile/2"), "must have the schema 'rlprune-recording/2'"),
    (change("schema"), "must have the schema"),
    (change("synthetic"), "lacks the key 'synthetic'"),
    (change("synthetic", to="no"), "true or false"),
    (change("synthetic", to=True), "must not pass for a measurement"),
    (change("device", to="synthetic GPU"), "must not pass for a measurement"),
    (change("plans", 0, "samples_ms", to=[1.0, -1.0]), "0 or more"),
    (change("plans", 0, "samples_ms", to=[0.0]), "positive milliseconds"),
    (change("plans", 0, "samples_ms", to=[]), "positive milliseconds"),
    (change("plans", 0, "energy_mj", to=-1.0), "0 or more"),
    (change("plans", 0, "energy_mj", to=0.0), "energies must be above 0"),
    (change("plans", 0, "peak_bytes", to=1.5), "whole number"),
    (change("plans", 0, "peak_bytes", to=0), "peaks of memory must be above 0"),
    (change("plans", 0, "widths", to=[8, 16]), "once"),
    (change("idle_watts", to=-2.0), "0 or more"),
    (change("idle_watts", to=0.0), "above 0 W"),
    (change("meter"), "name the meter"),
    (change("runtime", "batch", to="one"), "whole number"),
    (change("plans", to={}), "a list"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILED)
def test_what_no_device_can_have_shown_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = recorded().save(tmp_path / "recording.json")
    value = json.loads(path.read_text())
    spoil(value)
    path.write_text(json.dumps(value))
    with pytest.raises(DeviceError, match=message):
        RecordedRuntime.open(path)


def test_a_truncated_or_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    path = recorded().save(tmp_path / "recording.json")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DeviceError, match="truncated"):
        RecordedRuntime.open(path)
    with pytest.raises(DeviceError, match="Cannot read"):
        RecordedRuntime.open(tmp_path / "nothing.json")


def test_energy_of_a_plan_without_samples_is_refused() -> None:
    with pytest.raises(DeviceError, match="belong to a plan"):
        recorded(Extras({(1, 2): 3.0}, meter="a meter"))


def record(network: Network, runtime: Any, meter: PowerMeter | None, plans: list[IntArray]) -> Recorder:
    """Time plans through a recorder, and put them under its meter."""
    recorder = Recorder(runtime, meter)
    for widths in plans:
        inference = recorder.load(network, widths)
        recorder.time(inference, 4)
        recorder.peak_bytes(inference)
        if recorder.meter is not None:
            recorder.meter.measure(times(recorder, inference, 3))
    if recorder.meter is not None:
        recorder.meter.idle_watts()
    return recorder


def test_the_recorder_keeps_what_device_and_meter_showed(residual_network: Network, tmp_path: Path) -> None:
    gpu = SimulatedGpu()
    plans: list[IntArray] = [DENSE, HALF]
    recorder = record(residual_network, gpu, gpu.meter(), plans)
    assert recorder.round_s == gpu.round_s
    replay = RecordedRuntime.open(recorder.recording().save(tmp_path / "recording.json"))
    meter = RecordedMeter(replay)
    assert replay.extras.synthetic
    assert (meter.measured, meter.source, meter.idle_watts()) == (False, gpu.meter().source, 2.0)
    fresh = SimulatedGpu()
    for widths in plans:
        one, other = fresh.load(residual_network, widths), replay.load(residual_network, widths)
        assert np.array_equal(replay.time(other, 4), fresh.time(one, 4))
        assert replay.peak_bytes(other) == fresh.peak_bytes(one)
        energies = [
            m.measure(times(r, i, 1)).mj_per_run for m, r, i in ((meter, replay, other), (fresh.meter(), fresh, one))
        ]
        assert energies[0] == pytest.approx(energies[1])


def test_the_recorder_without_a_meter(residual_network: Network) -> None:
    recorder = record(residual_network, recorded(None), None, [DENSE])
    assert recorder.meter is None
    recording = recorder.recording()
    assert recording.samples_ms == {(16, 32): (2.0, 4.0, 2.0, 4.0)}
    assert recording.extras == Extras()


def test_a_stated_power_is_not_recorded_as_measured(residual_network: Network) -> None:
    extras = record(residual_network, recorded(None), PowerModel(5.0), [DENSE]).recording().extras
    assert (extras.meter, extras.measured, extras.idle_watts) == ("power model, 5 W stated", False, None)


def test_modules_pass_through_the_recorder(residual_network: Network) -> None:
    gpu = SimulatedGpu()
    recorder = Recorder(gpu, gpu.meter())
    module = recorder.load_module(residual_network.model, residual_network.example_inputs)
    assert len(recorder.time(module, 3)) == 3
    assert recorder.peak_bytes(module) == gpu.peak_bytes(module)
    assert recorder.meter is not None
    assert recorder.meter.measure(times(recorder, module, 1)).energy_mj > 0
    kept: dict[Plan, float] = dict(recorder.recording().extras.energy_mj)
    assert kept == {}
    assert recorder.available() is None
