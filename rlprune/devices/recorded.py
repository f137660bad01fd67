"""Saved measurements in place of a device, so that nothing needs the hardware they were taken on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.meters.base import WINDOW_S, PowerMeter, Window, Work
from rlprune.devices.meters.pretended import PretendedMeter
from rlprune.devices.recording import SYNTHETIC, Extras, Plan, Samples, as_json, check, parse
from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.errors import DeviceError
from rlprune.networks.network import Network
from rlprune.support.files import read_json, write_json


class RecordedRuntime(Runtime):
    """Replays samples: every plan gives its recorded milliseconds in order, from the first again after the last.

    Args:
        identity: of the runtime that was recorded.
        device: the device that was recorded.
        samples_ms: widths of a plan -> its samples.
        extras: energy and memory, where they were recorded.
        fails_after: timings after which the device is gone, for tests of what happens then.

    Raises:
        DeviceError: a number that is not above 0, a plan without samples, or a formula that does not say it is one.
    """

    round_s = 0.0

    def __init__(
        self,
        identity: RuntimeIdentity,
        device: str,
        samples_ms: Samples,
        extras: Extras | None = None,
        *,
        fails_after: int | None = None,
    ) -> None:
        self.identity = identity
        self._device = device
        self.samples_ms: dict[Plan, tuple[float, ...]] = {k: tuple(v) for k, v in samples_ms.items()}
        self.extras = extras or Extras()
        self.fails_after = fails_after
        self.last: Plan | None = None
        self._position: dict[Plan, int] = {}
        check(device, self.samples_ms, self.extras)

    def available(self) -> str | None:
        return None

    def device_name(self) -> str:
        return self._device

    def load(self, network: Network, widths: IntArray) -> Inference:
        key = tuple(int(width) for width in widths)
        if key not in self.samples_ms:
            raise DeviceError(
                f"The recording has no plan with widths {list(key)}; it has {len(self.samples_ms)} others."
            )
        return _Loaded(key, self._ran)

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        raise DeviceError("A recording replays plans by their widths; it cannot run a module. Use a real device.")

    def peak_bytes(self, inference: Inference) -> int | None:
        return self.extras.peak_bytes.get(_plan_of(inference))

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        plan = _plan_of(inference)
        if self.fails_after is not None:
            if self.fails_after <= 0:
                raise DeviceError(f"{self._device} stopped answering. Check that it is still there, and measure again.")
            self.fails_after -= 1
        self._ran(plan)
        samples = self.samples_ms[plan]
        start = self._position.get(plan, 0)
        self._position[plan] = start + repeats
        return np.array([samples[(start + offset) % len(samples)] for offset in range(repeats)])

    def _ran(self, plan: Plan) -> None:
        self.last = plan

    def save(self, path: str | Path) -> Path:
        """Write the recording as JSON, atomically."""
        value = as_json(self._device, self.identity, self.samples_ms, self.extras)
        return write_json(path, value, DeviceError)

    @classmethod
    def open(cls, path: str | Path) -> RecordedRuntime:
        """Read a recording of this or the first schema, which had no energy, memory or formulas.

        Raises:
            DeviceError: the file is missing, truncated, of another schema, or a value is missing or of another kind.
        """
        return cls(*parse(read_json(path, DeviceError), str(path)))


class RecordedMeter(PretendedMeter):
    """Replays the energy of whatever plan the recording ran last.

    Args:
        recording: the runtime that runs the plans meanwhile.
    """

    def __init__(self, recording: RecordedRuntime) -> None:
        self._recording = recording
        self.source = recording.extras.meter or "recorded energy"
        self.measured = recording.extras.measured and not recording.extras.synthetic
        if recording.extras.meter is None:
            self.reason, self.remedy = "the recording holds no energy", "record it with a meter"

    def last_run(self) -> tuple[float, float]:
        plan = self._recording.last
        if plan is None or plan not in self._recording.extras.energy_mj:
            what = "none ran" if plan is None else f"there is none of the plan with widths {list(plan)}"
            raise DeviceError(f"A recording gives the energy of the plan that ran last; {what}. Record it.")
        return float(np.mean(self._recording.samples_ms[plan])), self._recording.extras.energy_mj[plan]

    def idle_watts(self, seconds: float = WINDOW_S) -> float | None:
        self._check(seconds)
        return self._recording.extras.idle_watts


class Recorder(Runtime):
    """Passes everything on to another runtime and keeps what its plans showed.

    Args:
        runtime: the runtime that measures.
        meter: reads its energy; give :attr:`meter` to whoever measures, in its place.
    """

    def __init__(self, runtime: Runtime, meter: PowerMeter | None = None) -> None:
        self.identity, self.round_s = runtime.identity, runtime.round_s
        self.meter = None if meter is None else _MeterRecorder(meter, self)
        self.last: Plan | None = None
        self._runtime = runtime
        self._samples: dict[Plan, list[float]] = {}
        self._peaks: dict[Plan, int] = {}

    def available(self) -> str | None:
        return self._runtime.available()

    def device_name(self) -> str:
        return self._runtime.device_name()

    def load(self, network: Network, widths: IntArray) -> Inference:
        return _Loaded(tuple(int(width) for width in widths), self._ran, self._runtime.load(network, widths))

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        return self._runtime.load_module(module, example_inputs)

    def peak_bytes(self, inference: Inference) -> int | None:
        if not isinstance(inference, _Loaded):
            return self._runtime.peak_bytes(inference)
        peak = self._runtime.peak_bytes(inference.inside)
        if peak is not None:
            self._peaks[inference.widths] = peak
        return peak

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        if not isinstance(inference, _Loaded):
            self.last = None
            return self._runtime.time(inference, repeats)
        self._ran(inference.widths)
        samples = self._runtime.time(inference.inside, repeats)
        self._samples.setdefault(inference.widths, []).extend(float(sample) for sample in samples)
        return samples

    def _ran(self, plan: Plan) -> None:
        self.last = plan

    def recording(self) -> RecordedRuntime:
        """What was measured so far, ready to replay or save; plans that were never timed are left out."""
        meter, device = self.meter, self.device_name()
        energies = {} if meter is None else meter.energy_mj
        extras = Extras(
            energy_mj={plan: energy for plan, energy in energies.items() if plan in self._samples},
            peak_bytes={plan: peak for plan, peak in self._peaks.items() if plan in self._samples},
            idle_watts=None if meter is None else meter.idle,
            meter=None if meter is None else meter.source,
            measured=meter is None or meter.measured,
            synthetic=device.startswith(SYNTHETIC),
        )
        return RecordedRuntime(self.identity, device, self._samples, extras)


class _MeterRecorder(PowerMeter):
    """Passes everything on to another meter and keeps the energy of the plan that ran last."""

    def __init__(self, meter: PowerMeter, recorder: Recorder) -> None:
        self.source, self.measured, self.update_s = meter.source, meter.measured, meter.update_s
        self.reason, self.remedy = meter.reason, meter.remedy
        self._meter, self._recorder = meter, recorder
        self.energy_mj: dict[Plan, float] = {}
        self.idle: float | None = None

    def measure(self, work: Work, seconds: float = WINDOW_S) -> Window:
        window = self._meter.measure(work, seconds)
        if self._recorder.last is not None:
            self.energy_mj[self._recorder.last] = window.mj_per_run
        return window

    def idle_watts(self, seconds: float = WINDOW_S) -> float | None:
        self.idle = self._meter.idle_watts(seconds)
        return self.idle


class _Loaded:
    """A plan that was loaded, and the inference of the runtime behind a recorder."""

    def __init__(self, widths: Plan, ran: Callable[[Plan], None], inside: Inference = lambda: None) -> None:
        self.widths, self._ran, self.inside = widths, ran, inside

    def __call__(self) -> object:
        self._ran(self.widths)
        return self.inside()


def _plan_of(inference: Inference) -> Plan:
    if not isinstance(inference, _Loaded):
        raise DeviceError("A recording runs only what it loaded itself.")
    return inference.widths
