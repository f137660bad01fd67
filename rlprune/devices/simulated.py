"""A synthetic GPU: a formula in place of a device, so that profiling with energy, tails and memory runs anywhere.

Nothing it answers is a measurement, and its name says so. One inference takes, by the roofline model (Williams et al.
2009), summed over the layers l of :attr:`Network.layers`,

    T = sum over l of  launch + max(2 * MACs[l] * batch / flops,  bytes[l] / bandwidth)
    E = idle power * mean T + sum over l of  energy of a MAC * MACs[l] * batch + energy of a byte * bytes[l]

with ``bytes[l] = 4 * (weights + batch * (input + output elements))``. Output channels are rounded up to 32 and input
channels to 8, as a GPU computes in tiles. Functions without weights are taken as fused. A sample is

    T * (1 + jitter * lognormal(0, 1/2)) + stall,    stall ~ exponential(stall_ms + stall_factor * T) or mostly 0

so samples have a sharp minimum and a long tail; ``stall_share`` of them are stalled. No time passes: samples are drawn,
never waited for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.meters.base import WINDOW_S, PowerMeter, Window, Work
from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.errors import DeviceError
from rlprune.networks.inputs import as_inputs
from rlprune.networks.layers import Layer
from rlprune.networks.loading.acceptance import accepted_copy
from rlprune.networks.loading.discovery import discover
from rlprune.networks.network import Network

DEVICE = "synthetic GPU (formula, not a measurement)"
OUT_TILE, IN_TILE = 32, 8
BYTES = 4
SPREAD = 0.5


@dataclass(frozen=True)
class GpuFormula:
    """Constants, by default those of a small embedded GPU.

    Raises:
        DeviceError: one that is not a finite number, or is below 0; rates must be above 0.
    """

    flops: float = 0.25e12
    bytes_per_s: float = 25e9
    launch_ms: float = 0.003
    idle_watts: float = 2.0
    pj_per_mac: float = 30.0
    pj_per_byte: float = 100.0
    jitter: float = 0.01
    stall_share: float = 0.03
    stall_ms: float = 0.1
    stall_factor: float = 0.5

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not math.isfinite(value) or value < 0 or (value == 0 and item.name in ("flops", "bytes_per_s")):
                raise DeviceError(f"{item.name} of a simulated GPU must be 0 or more, rates above 0; {value} came.")

    def mean_ms(self, least_ms: float) -> float:
        """Expected milliseconds of an inference that takes at least ``least_ms``."""
        slower = 1 + self.jitter * math.exp(SPREAD**2 / 2)
        return least_ms * slower + self.stall_share * (self.stall_ms + self.stall_factor * least_ms)

    def sample(self, least_ms: float, repeats: int, generator: np.random.Generator) -> FloatArray:
        """Milliseconds ``[repeats]``."""
        steady = least_ms * (1 + self.jitter * generator.lognormal(0.0, SPREAD, repeats))
        stalls = generator.exponential(self.stall_ms + self.stall_factor * least_ms, repeats)
        return np.asarray(steady + np.where(generator.random(repeats) < self.stall_share, stalls, 0.0))


class SimulatedGpu(Runtime):
    """Runs networks by the formula of this module.

    Samples depend on the seed, the layer widths, and how often those were timed before; on nothing else.

    Args:
        batch: samples in one inference.
        seed: of jitter and stalls.
        formula: the device's constants.

    Raises:
        DeviceError: a batch below 1.
    """

    round_s = 0.0

    def __init__(self, batch: int = 1, *, seed: int = 0, formula: GpuFormula | None = None) -> None:
        if batch < 1:
            raise DeviceError(f"Batch must be 1 or more, not {batch}.")
        self.identity = RuntimeIdentity("simulated", "1", "roofline", 0, batch, "float32")
        self.formula = formula or GpuFormula()
        self.last: _Simulated | None = None
        self._seed = seed
        self._timings: dict[tuple[int, ...], int] = {}

    def available(self) -> str | None:
        return None

    def device_name(self) -> str:
        return DEVICE

    def meter(self) -> SimulatedMeter:
        """Reads the energy of whatever ran here last."""
        return SimulatedMeter(self)

    def load(self, network: Network, widths: IntArray) -> Inference:
        out, into = network.axis_widths(widths)
        return _Simulated(
            self, network.layers, out[0], into[0], network.repeated(widths)[0], network.layer_macs(widths)[0]
        )

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        """A finished module, whose layers are found by one run of it."""
        found = discover(accepted_copy(module), as_inputs(example_inputs), lambda answer: answer)
        layers = [item.layer for item in found.layers]
        sides = ("out_width", "in_width", "repeated")
        out, into, repeated = (np.array([getattr(layer, side) for layer in layers]) for side in sides)
        per_pair = np.array([layer.macs_per_pair for layer in layers])
        return _Simulated(self, layers, out, into, repeated, per_pair * out * np.maximum(into, 1) * repeated)

    def peak_bytes(self, inference: Inference) -> int | None:
        """All weights, and the inputs and outputs of the layer that has most of them."""
        return self._own(inference).peak_bytes

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        self.last = work = self._own(inference)
        count = self._timings.get(work.key, 0)
        self._timings[work.key] = count + 1
        return self.formula.sample(work.least_ms, repeats, np.random.default_rng([self._seed, count, *work.key]))

    def _own(self, inference: Inference) -> _Simulated:
        if not isinstance(inference, _Simulated) or inference.gpu is not self:
            raise DeviceError("A simulated GPU runs only what it loaded itself. Load the network with it.")
        return inference


class _Simulated:
    """Layers of these widths on the simulated GPU: what they cost.

    Args:
        out, into, repeated: channels of each layer, and those that its product is repeated over, ``[L]``.
        macs: of one sample, ``[L]``.
    """

    def __init__(
        self, gpu: SimulatedGpu, layers: Sequence[Layer], out: IntArray, into: IntArray, repeated: IntArray,
        macs: FloatArray,
    ) -> None:  # fmt: skip
        self.gpu, formula, batch = gpu, gpu.formula, gpu.identity.batch
        self.key = tuple(int(width) for width in (*out, *into))
        tiled_out = -(-out // OUT_TILE) * OUT_TILE
        tiled_in = np.where(into > 1, -(-into // IN_TILE) * IN_TILE, into)  # depthwise layers have no tiles of inputs
        tiled_macs = batch * macs * (tiled_out / out) * (tiled_in / np.maximum(into, 1)).clip(1.0)
        positions: FloatArray = np.array([layer.positions / layer.repeated for layer in layers]) * repeated
        weights, elements = _sizes(layers, tiled_out, tiled_in, positions)
        moved = BYTES * (weights + batch * elements)
        seconds = np.maximum(2 * tiled_macs / formula.flops, moved / formula.bytes_per_s)
        self.least_ms = float((formula.launch_ms + seconds * 1e3).sum())
        self.mean_ms = formula.mean_ms(self.least_ms)
        picojoules = formula.pj_per_mac * tiled_macs + formula.pj_per_byte * moved
        self.energy_mj = formula.idle_watts * self.mean_ms + float(picojoules.sum()) * 1e-9
        weights, elements = _sizes(layers, out, into, positions)
        self.peak_bytes = int(BYTES * (weights.sum() + batch * elements.max()))

    def __call__(self) -> None:
        """Nothing runs; the meter remembers what would have."""
        self.gpu.last = self


def _sizes(
    layers: Sequence[Layer], out: IntArray, into: IntArray, positions: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weights of each layer, and the elements that go in and come out for one sample, both ``[L]``."""
    weights, elements = np.empty(len(layers)), np.empty(len(layers))
    for index, layer in enumerate(layers):
        wide, deep = float(out[index]), float(into[index])
        weights[index] = layer.params_per_pair * wide * deep + layer.params_per_out * wide
        step = math.prod(layer.stride)
        read, written = (1, step) if layer.kind == "transposed" else (step, 1)
        elements[index] = positions[index] * (read * (deep * layer.groups or wide) + written * wide)
    return weights, elements


class SimulatedMeter(PowerMeter):
    """Energy by the formula of a simulated GPU, of whatever ran there last. It measures nothing and says so.

    Windows are as long as was asked for and take no time; ``work`` runs once, to say what ran.
    """

    source = "synthetic power (formula, not a measurement)"
    measured = False

    def __init__(self, gpu: SimulatedGpu) -> None:
        self._gpu = gpu

    def measure(self, work: Work, seconds: float = WINDOW_S) -> Window:
        self._check(seconds)
        done = work()
        milliseconds, millijoules = self.last_run()
        runs = max(done, round(max(seconds, self.least_s) * 1e3 / milliseconds)) if done > 0 else 0
        return Window(runs * milliseconds / 1e3, runs, runs * millijoules)

    def last_run(self) -> tuple[float, float]:
        """Milliseconds and millijoules of one inference of what ran last."""
        if self._gpu.last is None:
            raise DeviceError("A simulated GPU gives the energy of what ran last; nothing ran. Run a network first.")
        return self._gpu.last.mean_ms, self._gpu.last.energy_mj

    def idle_watts(self, seconds: float = WINDOW_S) -> float | None:
        self._check(seconds)
        return self._gpu.formula.idle_watts
