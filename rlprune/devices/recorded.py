"""Saved measurements in place of a device, so that nothing needs the hardware they were taken on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from rlprune.devices.profile_json import Fields, runtime_identity
from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.errors import DeviceError
from rlprune.files import read_json, write_json
from rlprune.network import FloatArray, IntArray, Network

SCHEMA = "rlprune-recording/1"
Samples = Mapping[tuple[int, ...], Sequence[float]]


class RecordedRuntime(Runtime):
    """Replays samples: every plan gives its recorded milliseconds in order, from the first again after the last.

    Args:
        identity: of the runtime that was recorded.
        device: the device that was recorded.
        samples_ms: widths of a plan -> its samples.
    """

    round_s = 0.0

    def __init__(self, identity: RuntimeIdentity, device: str, samples_ms: Samples) -> None:
        self.identity = identity
        self._device = device
        self.samples_ms: dict[tuple[int, ...], tuple[float, ...]] = {k: tuple(v) for k, v in samples_ms.items()}
        for widths, samples in self.samples_ms.items():
            if not samples or not all(np.isfinite(sample) and sample > 0 for sample in samples):
                raise DeviceError(f"Recorded samples must be positive milliseconds; those of {list(widths)} are not.")
        self._position: dict[tuple[int, ...], int] = {}

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
        return _Replay(key)

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        raise DeviceError("A recording replays plans by their widths; it cannot run a module. Use a real device.")

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        if not isinstance(inference, _Replay):
            raise DeviceError("A recording times only what it loaded itself.")
        samples = self.samples_ms[inference.widths]
        start = self._position.get(inference.widths, 0)
        self._position[inference.widths] = start + repeats
        return np.array([samples[(start + offset) % len(samples)] for offset in range(repeats)])

    def save(self, path: str | Path) -> Path:
        """Write the recording as JSON, atomically."""
        plans = [{"widths": list(widths), "samples_ms": list(times)} for widths, times in self.samples_ms.items()]
        value = {"schema": SCHEMA, "device": self._device, "runtime": asdict(self.identity), "plans": plans}
        return write_json(path, value, DeviceError)

    @classmethod
    def open(cls, path: str | Path) -> RecordedRuntime:
        """Read a recording.

        Raises:
            DeviceError: the file is missing, truncated or of another schema.
            ProfileError: a key is missing or of another kind.
        """
        value = read_json(path, DeviceError)
        if value.get("schema") != SCHEMA:
            raise DeviceError(f"{path} must have the schema {SCHEMA!r}; {value.get('schema')!r} came. Record it again.")
        fields = Fields(value, str(path))
        plans = [Fields(plan, f"{path}: 'plans'") for plan in fields.items("plans")]
        samples = {plan.integers("widths"): plan.numbers("samples_ms") for plan in plans}
        return cls(runtime_identity(fields.inner("runtime")), fields.text("device"), samples)


class _Replay:
    """A recorded plan that was loaded."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        self.widths = widths

    def __call__(self) -> None:
        """Nothing runs."""


class Recorder(Runtime):
    """Passes everything on to another runtime and keeps the samples of its plans.

    Args:
        runtime: the runtime that measures.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.identity = runtime.identity
        self._runtime = runtime
        self._plans: dict[int, tuple[int, ...]] = {}
        self._kept: list[Inference] = []
        self._samples: dict[tuple[int, ...], list[float]] = {}

    def available(self) -> str | None:
        return self._runtime.available()

    def device_name(self) -> str:
        return self._runtime.device_name()

    def load(self, network: Network, widths: IntArray) -> Inference:
        inference = self._runtime.load(network, widths)
        self._kept.append(inference)
        self._plans[id(inference)] = tuple(int(width) for width in widths)
        return inference

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        return self._runtime.load_module(module, example_inputs)

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        samples = self._runtime.time(inference, repeats)
        if id(inference) in self._plans:
            self._samples.setdefault(self._plans[id(inference)], []).extend(float(sample) for sample in samples)
        return samples

    def recording(self) -> RecordedRuntime:
        """What was timed so far, ready to replay or save."""
        return RecordedRuntime(self.identity, self.device_name(), self._samples)
