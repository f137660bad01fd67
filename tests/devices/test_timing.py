"""Interleaved timing and the figures made of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.profiling.promise import _summary, measure_plans
from rlprune.devices.profiling.timing import REPEATS, minima, rounds_for, spread, time_round, wants_more
from rlprune.devices.runtimes import OnnxRuntime, Runtime, RuntimeIdentity
from rlprune.devices.runtimes.base import Inference
from rlprune.errors import DeviceError, NetworkError
from rlprune.networks import surgery
from rlprune.networks.network import Network
from tests.devices.recorded import RecordedRuntime


class Logging(Runtime):
    """Remembers in which order plans were run; the n-th run of anything takes n milliseconds."""

    round_s = 0.0

    def __init__(self) -> None:
        self.identity = RuntimeIdentity("log", "1", "none", 1, 1, "float32", warmup=0)
        self.order: list[str] = []

    def available(self) -> str | None:
        return None

    def device_name(self) -> str:
        return "log"

    def load(self, network: Network, widths: IntArray) -> Inference:
        return lambda: self.order.append(str(widths.tolist()))

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        return lambda: self.order.append(type(module).__name__)


def logged(runtime: Logging, names: str) -> list[Inference]:
    return [lambda name=name: runtime.order.append(name) for name in names]  # type: ignore[misc]


def test_a_round_runs_every_plan_back_to_back_in_random_order() -> None:
    runtime = Logging()
    samples = time_round(runtime, logged(runtime, "abcdefgh"), 0, seed=0)
    assert samples.shape == (8, REPEATS)
    assert (samples > 0).all()
    blocks = [runtime.order[i : i + REPEATS] for i in range(0, len(runtime.order), REPEATS)]
    assert all(len(set(block)) == 1 for block in blocks)
    assert sorted(block[0] for block in blocks) == list("abcdefgh")


def test_the_order_depends_on_seed_and_round_only() -> None:
    def order(number: int, seed: int) -> list[str]:
        runtime = Logging()
        time_round(runtime, logged(runtime, "abcdefgh"), number, seed)
        return runtime.order

    assert order(3, 0) == order(3, 0)
    assert order(3, 0) != order(4, 0)
    assert order(3, 0) != order(3, 1)


def test_samples_belong_to_their_plan(residual_network: Network, recording: Callable[..., RecordedRuntime]) -> None:
    runtime = recording()
    plans = np.array([[16, 32], [4, 4], [8, 16]])
    inferences = [runtime.load(residual_network, plan) for plan in plans]
    samples = time_round(runtime, inferences, 0, seed=5)
    wanted = [runtime.samples_ms[tuple(int(w) for w in plan)][0] for plan in plans]
    assert samples.min(axis=1) == pytest.approx(wanted)


def test_rounds_give_at_least_the_samples() -> None:
    assert rounds_for(300) * REPEATS >= 300
    assert rounds_for(301) * REPEATS >= 301
    assert rounds_for(1) == 1


def test_spread_compares_halves_relative_to_the_dense_network() -> None:
    steady: FloatArray = np.array([[2.0, 1.0], [2.0, 1.0]])
    slower_machine: FloatArray = np.array([[2.0, 1.0], [4.0, 2.0]])
    uneven: FloatArray = np.array([[2.0, 1.0], [2.0, 1.1]])
    assert spread(steady) == 0
    assert spread(slower_machine) == 0
    assert spread(uneven) == pytest.approx(1 - 1 / 1.1)
    assert list(minima(slower_machine)) == [2, 1]


@pytest.mark.parametrize(
    ("rounds", "more"),
    [
        ([], True),
        ([[2.0, 1.0]] * 3, True),
        ([[2.0, 1.0]] * 4, False),
        ([[2.0, 1.0]] * 2 + [[2.0, 1.2]] * 2, True),
        ([[2.0, 1.0]] * 2 + [[2.0, 1.2]] * 3 + [[2.0, 1.0]], False),
        ([[2.0, 1.0]] * 6 + [[2.0, 1.2]] * 6, False),
    ],
)
def test_measures_on_until_both_halves_agree(rounds: list[list[float]], more: bool) -> None:
    assert wants_more([np.array(item) for item in rounds], least=4) == more


def test_a_deadline_ends_what_does_not_settle_and_nothing_else() -> None:
    restless = [np.array(item) for item in [[2.0, 1.0]] * 6 + [[2.0, 1.2]] * 6]
    past, future = time.monotonic() - 1, time.monotonic() + 1000
    assert wants_more(restless, 4, deadline=future)
    assert not wants_more(restless, 4, deadline=past)
    assert not wants_more(restless, 100, deadline=past)
    assert wants_more(restless[:1], 4, deadline=past)
    assert not wants_more(restless[:5], 4, deadline=future)
    assert not wants_more(restless, 4, bound=0.3, deadline=future)


def test_warm_up_runs_are_not_timed() -> None:
    runtime = Logging()
    runtime.identity = replace(runtime.identity, warmup=2)
    assert runtime.time(runtime.load(None, np.array([1])), 3).shape == (3,)  # type: ignore[arg-type]
    assert len(runtime.order) == 5


def test_summary_corrects_for_drift() -> None:
    cube: FloatArray = np.array([[[2.0, 2.5], [1.0, 4.0]], [[2.2, 2.4], [1.2, 3.0]]])
    timings = _summary(cube, 1.0, [None, 7])
    (plan,) = timings.plans
    assert (plan.latency_ms, plan.ratio, plan.corrected_ms) == (1.0, 0.5, 0.5)
    assert plan.tails_ms["p50"] == pytest.approx(2.1)
    assert plan.tails_ms["p95"] > 3
    assert plan.peak_bytes == 7
    assert _summary(cube, None, [None, None]).plans[0].corrected_ms == 1.0


def test_measures_modules_and_widths_beside_the_dense_network(residual_network: Network) -> None:
    widths = np.array([4, 4])
    pruned = surgery.prune(residual_network, surgery.leading_channels(residual_network, widths))
    runtime = OnnxRuntime()
    runtime.round_s = 0.0
    timings = measure_plans(residual_network, runtime, [pruned, widths], samples=20, dense_latency_ms=3.0)
    assert timings.dense.ratio == 1.0
    assert timings.dense.corrected_ms == 3.0
    for plan in timings.plans:
        assert 0 < plan.latency_ms <= plan.tails_ms["p50"] <= plan.tails_ms["p95"]
        assert plan.corrected_ms == pytest.approx(3.0 * plan.latency_ms / timings.dense.latency_ms)


def test_runs_what_it_was_given(residual_network: Network) -> None:
    runtime = Logging()
    measure_plans(residual_network, runtime, [nn.Identity(), np.array([4, 4])], samples=REPEATS)
    assert set(runtime.order) == {"[16, 32]", "[4, 4]", "Identity"}


def test_refuses_too_few_samples(residual_network: Network) -> None:
    with pytest.raises(DeviceError, match="samples"):
        measure_plans(residual_network, Logging(), [], samples=1)


def test_onnxruntime_sessions_use_the_stated_batch(residual_network: Network) -> None:
    runtime = OnnxRuntime(threads=1, batch=3)
    inference = runtime.load(residual_network, residual_network.dense_widths)
    outputs = inference()
    assert isinstance(outputs, list)
    assert outputs[0].shape == (3, 4)
    with pytest.raises(DeviceError, match="1 or more"):
        OnnxRuntime(threads=0)


def test_what_cannot_be_exported_is_told(residual_network: Network) -> None:
    class Strange(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum() > 0 else -images

    with pytest.raises(NetworkError, match="cannot be exported"):
        OnnxRuntime().load_module(Strange(), residual_network.example_inputs)
