"""Samples in place of a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.networks.network import Network

Plan = tuple[int, ...]
"""Channel count of each group."""


class RecordedRuntime(Runtime):
    """Replays samples: every plan gives its recorded milliseconds in order, from the first again after the last."""

    round_s = 0.0

    def __init__(self, identity: RuntimeIdentity, device: str, samples_ms: Mapping[Plan, Sequence[float]]) -> None:
        self.identity = identity
        self._device = device
        self.samples_ms: dict[Plan, tuple[float, ...]] = {k: tuple(v) for k, v in samples_ms.items()}
        self._position: dict[Plan, int] = {}

    def available(self) -> str | None:
        return None

    def device_name(self) -> str:
        return self._device

    def load(self, network: Network, widths: IntArray) -> Inference:
        return Loaded(tuple(int(width) for width in widths))

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        raise NotImplementedError

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        assert isinstance(inference, Loaded)
        samples = self.samples_ms[inference.widths]
        start = self._position.get(inference.widths, 0)
        self._position[inference.widths] = start + repeats
        return np.array([samples[(start + offset) % len(samples)] for offset in range(repeats)])


class Loaded:
    """A plan that was loaded."""

    def __init__(self, widths: Plan) -> None:
        self.widths = widths

    def __call__(self) -> None:
        """Nothing runs."""
