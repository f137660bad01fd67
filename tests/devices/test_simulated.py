"""The synthetic GPU obeys its formula, and never passes for a device."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.profiling.promise import measure_plans
from rlprune.devices.simulated import DEVICE, GpuFormula, SimulatedGpu
from rlprune.errors import DeviceError
from rlprune.networks import surgery
from rlprune.networks.network import Network
from tests.models import Concat, Depthwise

SIMPLE = GpuFormula(
    flops=2e9,
    bytes_per_s=4e12,
    launch_ms=1.0,
    idle_watts=3.0,
    pj_per_mac=1e6,
    pj_per_byte=0.0,
    jitter=0.0,
    stall_share=0.0,
)


def chain() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128, bias=False), nn.ReLU(), nn.Linear(128, 32, bias=False))


@pytest.fixture(scope="module")
def linear() -> Network:
    return Network(chain(), torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), multiple=4)


def test_time_is_launches_and_the_slower_of_arithmetic_and_memory(linear: Network) -> None:
    moved = 64 * 128 + 64 + 128 + 128 * 32 + 128 + 32
    slow_memory = replace(SIMPLE, bytes_per_s=4e3)
    for formula, by_hand in ((SIMPLE, 2 + (64 * 128 + 128 * 32) * 1e-6), (slow_memory, 2 + moved)):
        gpu = SimulatedGpu(formula=formula)
        assert gpu.time(gpu.load(linear, linear.dense_widths), 3) == pytest.approx(by_hand)


def test_widths_between_tiles_cost_as_much_as_the_next(linear: Network) -> None:
    gpu = SimulatedGpu(formula=SIMPLE)
    times = {width: gpu.time(gpu.load(linear, np.array([width])), 1)[0] for width in (64, 72, 96, 100, 128)}
    # As outputs of the first layer 72 and 96 are the same three tiles of 32; as inputs of the second they are not.
    assert times[72] == pytest.approx(2 + (64 * 96 + 72 * 32) * 1e-6)
    assert times[100] == pytest.approx(2 + (64 * 128 + 104 * 32) * 1e-6)
    assert sorted(times.values()) == list(times.values())


def test_energy_is_idle_power_and_arithmetic(linear: Network) -> None:
    gpu = SimulatedGpu(batch=4, formula=SIMPLE)
    inference = gpu.load(linear, linear.dense_widths)

    def work() -> int:
        inference()
        return 1

    window = gpu.meter().measure(work, seconds=2.0)
    macs = 4 * (64 * 128 + 128 * 32)
    assert window.ms_per_run == pytest.approx(2 + macs * 1e-6)
    assert window.mj_per_run == pytest.approx(3.0 * window.ms_per_run + macs * 1e6 * 1e-9)
    assert window.seconds == pytest.approx(2.0, rel=0.01)
    assert gpu.meter().idle_watts() == 3.0


def test_memory_is_weights_and_the_largest_layer(linear: Network) -> None:
    gpu = SimulatedGpu(batch=4)
    half = gpu.load(linear, np.array([64]))
    assert gpu.peak_bytes(half) == 4 * (64 * 64 + 64 * 32 + 4 * (64 + 64))


def test_expected_time_is_the_mean_of_samples(linear: Network) -> None:
    gpu = SimulatedGpu(seed=3)
    samples = gpu.time(gpu.load(linear, linear.dense_widths), 200_000)
    least = gpu.formula.launch_ms * 2
    assert samples.min() > least
    inference = gpu.load(linear, linear.dense_widths)
    inference()
    assert gpu.meter().last_run()[0] == pytest.approx(samples.mean(), rel=0.02)
    assert np.quantile(samples, 0.99) > 1.5 * np.median(samples)


def test_samples_depend_on_seed_and_plan_alone(linear: Network) -> None:
    first, second, other = SimulatedGpu(seed=1), SimulatedGpu(seed=1), SimulatedGpu(seed=2)
    state = torch.random.get_rng_state()
    plans = [np.array([width]) for width in (128, 64)]
    one = [first.time(first.load(linear, plan), 5) for plan in plans]
    two = [second.time(second.load(linear, plan), 5) for plan in reversed(plans)][::-1]
    assert np.array_equal(one, two)
    assert not np.array_equal(one[0], other.time(other.load(linear, plans[0]), 5))
    assert not np.array_equal(one[0], first.time(first.load(linear, plans[0]), 5))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("kind", [Concat, Depthwise])
def test_a_finished_module_costs_what_its_plan_does(kind: type[nn.Module]) -> None:
    network = Network(kind().eval(), torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), multiple=4)
    gpu = SimulatedGpu(batch=8)
    for widths in choose_plans(network, 4, 0):
        pruned = surgery.prune(network, surgery.leading_channels(network, widths))
        costs = []
        for inference in (gpu.load(network, widths), gpu.load_module(pruned, network.example_inputs)):
            inference()
            costs.append((*gpu.meter().last_run(), gpu.peak_bytes(inference)))
        assert costs[0] == pytest.approx(costs[1])


def test_costs_never_fall_when_a_width_rises(residual_network: Network) -> None:
    gpu = SimulatedGpu(batch=4)
    costs = []
    for width in range(1, 33):
        inference = gpu.load(residual_network, np.array([16, width]))
        inference()
        costs.append((*gpu.meter().last_run(), gpu.peak_bytes(inference)))
    assert (np.diff(np.array(costs), axis=0) >= 0).all()


def test_a_profile_of_it_has_energy_and_tails_and_says_what_it_is(residual_network: Network) -> None:
    gpu = SimulatedGpu(batch=64)
    profile = build_profile(residual_network, gpu, gpu.meter(), Effort(plans=16, checks=4, samples=100))
    assert profile.device == DEVICE
    assert "formula, not a measurement" in profile.energy.source
    assert profile.energy.idle_watts == 2.0
    assert profile.held_out.worst < 0.15
    assert len(profile.readings) >= 4
    timings = measure_plans(residual_network, gpu, [residual_network.model], samples=30)
    assert timings.plans[0].ratio == pytest.approx(1.0, rel=0.05)


def test_it_never_passes_for_a_device(linear: Network) -> None:
    gpu = SimulatedGpu()
    assert gpu.device_name().startswith("synthetic ")
    assert (gpu.identity.name, gpu.identity.provider) == ("simulated", "roofline")
    assert not gpu.meter().measured
    assert "not a measurement" in gpu.meter().describe()
    assert gpu.available() is None


def test_mistakes_are_named(linear: Network) -> None:
    with pytest.raises(DeviceError, match="Batch"):
        SimulatedGpu(batch=0)
    with pytest.raises(DeviceError, match="loaded itself"):
        SimulatedGpu().time(SimulatedGpu().load(linear, linear.dense_widths), 1)
    with pytest.raises(DeviceError, match="nothing ran"):
        SimulatedGpu().meter().measure(lambda: 1)


@pytest.mark.parametrize("wrong", [{"flops": 0.0}, {"launch_ms": -1.0}, {"jitter": math.nan}])
def test_impossible_formulas_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DeviceError, match=next(iter(wrong))):
        GpuFormula(**wrong)
