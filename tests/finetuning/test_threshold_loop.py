"""The loop that moves a threshold: its sign, its steps, its ends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from rlprune.errors import ConfigError
from rlprune.finetuning.threshold_loop import MET, ROUNDS, STUCK, Measurement, ThresholdLoop
from rlprune.pruning.thresholds import WeightPruningStrategy

TARGETS = Measurement(accuracy=0.9, speed=200.0)


def loop(targets: Measurement = TARGETS, **changes: Any) -> ThresholdLoop:
    return ThresholdLoop(targets, **{"start": 0.1, "alpha": 0.5, "scale": 0.04, "rounds": 5, **changes})


def network(threshold: float) -> Measurement:
    """A toy response: more pruning is faster and less accurate; accuracy 0.9 at 0.25, speed 200 at 0.2."""
    return Measurement(accuracy=0.95 - 0.8 * threshold**2, speed=1000 * threshold)


def run(loop: ThresholdLoop) -> ThresholdLoop:
    while loop.finished is None:
        loop.report(network(loop.threshold))
    return loop


@pytest.mark.parametrize("rule", ["fixed", "proportional"])
def test_accuracy_below_target_lowers_the_threshold(rule: str) -> None:
    one = loop(step_rule=rule)
    one.report(Measurement(accuracy=0.5, speed=100.0))
    assert one.threshold < 0.1


@pytest.mark.parametrize("rule", ["fixed", "proportional"])
def test_accuracy_met_and_speed_not_raises_the_threshold(rule: str) -> None:
    one = loop(step_rule=rule)
    one.report(Measurement(accuracy=0.95, speed=100.0))
    assert one.threshold > 0.1


@pytest.mark.parametrize(
    ("targets", "lacking", "met"),
    [
        (Measurement(accuracy=0.9, energy_mj=2.0), 3.0, 1.0),
        (Measurement(accuracy=0.9, size_bytes=1000.0), 1500.0, 1000.0),
    ],
)
def test_energy_and_size_count_from_above(targets: Measurement, lacking: float, met: float) -> None:
    [cost] = targets.known.keys() - {"accuracy"}
    above, below = loop(targets), loop(targets)
    above.report(replace(Measurement(accuracy=0.9), **{cost: lacking}))
    below.report(replace(Measurement(accuracy=0.9), **{cost: met}))
    assert above.threshold == pytest.approx(0.12)
    assert above.rounds[0].cost_gap == pytest.approx(0.5)
    assert below.finished == MET


def test_steps_by_hand() -> None:
    fixed, proportional = loop(), loop(step_rule="proportional")
    for one in (fixed, proportional):
        one.report(Measurement(accuracy=0.95, speed=150.0))
    assert fixed.threshold == pytest.approx(0.1 + 0.5 * 0.04)
    assert proportional.threshold == pytest.approx(0.1 + 0.5 * 0.04 * (200 - 150) / 200)
    down = loop(step_rule="proportional")
    down.report(Measurement(accuracy=0.45, speed=300.0))
    assert down.threshold == pytest.approx(0.1 - 0.5 * 0.04 * (0.9 - 0.45) / 0.9)


def test_a_step_does_not_depend_on_units() -> None:
    """Speed per second or per minute, weights ten times as large: the same steps."""
    a = loop(step_rule="proportional")
    b = loop(Measurement(accuracy=0.9, speed=200.0 * 60), step_rule="proportional", start=1.0, scale=0.4)
    a.report(Measurement(accuracy=0.95, speed=150.0))
    b.report(Measurement(accuracy=0.95, speed=150.0 * 60))
    assert b.threshold == pytest.approx(10 * a.threshold)


@pytest.mark.parametrize("rule", ["fixed", "proportional"])
@pytest.mark.parametrize("start", [0.02, 0.24, 0.6])
def test_it_converges_on_a_response_curve(rule: str, start: float) -> None:
    done = run(loop(step_rule=rule, start=start, alpha=1.0, scale=0.3, rounds=60))
    assert done.finished == MET
    assert 0.2 <= done.best.threshold <= 0.25


@pytest.mark.parametrize("rule", ["fixed", "proportional"])
def test_targets_that_exclude_each_other_end_at_the_accuracy(rule: str) -> None:
    """Accuracy goes first: the best round is as pruned as the accuracy allows."""
    done = run(loop(Measurement(accuracy=0.9, speed=400.0), step_rule=rule, scale=0.2, rounds=40))
    assert done.finished == ROUNDS
    assert done.best.threshold == pytest.approx(0.25, abs=0.001)
    assert done.best.accuracy_gap == 0


def test_it_stops_when_targets_are_met_and_after_n_rounds_otherwise() -> None:
    done = run(loop(start=0.22))
    assert (done.finished, len(done.rounds)) == (MET, 1)
    slow = run(loop(alpha=0.01))
    assert (slow.finished, len(slow.rounds)) == (ROUNDS, 5)
    with pytest.raises(ConfigError, match="is over"):
        slow.report(network(0.1))


def test_a_target_accuracy_that_the_dense_network_misses_ends_it() -> None:
    done = run(loop(Measurement(accuracy=0.97, speed=100.0), rounds=50))
    assert done.finished == STUCK
    assert done.threshold == 0


def test_thresholds_stay_below_the_ceiling_and_it_is_told() -> None:
    done = run(loop(Measurement(accuracy=0.5, speed=900.0), ceiling=0.15, rounds=50))
    assert done.finished == STUCK
    assert done.threshold == pytest.approx(0.15)
    [note] = done.notes
    assert "would remove everything" in note


def test_the_highest_threshold_leaves_something_of_every_layer() -> None:
    weights = {"a": torch.tensor([0.1, -0.3, 3.3]), "b": torch.tensor([7.0, 0.1])}
    ceiling = WeightPruningStrategy.ceiling(weights)
    done = loop(Measurement(accuracy=0.5, speed=900.0), start=1.0, scale=9.0, ceiling=ceiling)
    done.report(Measurement(accuracy=0.9, speed=100.0))
    assert done.threshold == pytest.approx(ceiling)
    assert WeightPruningStrategy(done.threshold).shares(weights) == {"a": 1 / 3, "b": 0.5}


def test_a_round_that_ends_the_loop_tells_nothing_of_a_next_threshold() -> None:
    done = loop(Measurement(accuracy=0.5, speed=900.0), start=0.1, ceiling=0.11)
    done.report(Measurement(accuracy=0.9, speed=1000.0))
    assert (done.finished, done.notes) == (MET, [])


def test_speed_and_energy_come_from_latency_and_power() -> None:
    measured = Measurement.timed(0.9, latency_ms=2.0, power_w=15.0)
    assert (measured.speed, measured.energy_mj) == (500.0, 30.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step_rule": "fixd"}, "Did you mean 'fixed'"),
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"scale": math.nan}, "scale must be above 0"),
        ({"start": -0.1}, "start must be at least 0"),
        ({"start": 0.2, "ceiling": 0.2}, "start must be at least 0 and below 0.2"),
        ({"targets": Measurement(accuracy=0.9)}, "accuracy and another"),
        ({"targets": Measurement(speed=3.0, size_bytes=2.0)}, "accuracy and another"),
        ({"targets": Measurement(accuracy=0.9, speed=0.0)}, "above 0"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loop(**changes)


def test_bad_measurements_are_refused() -> None:
    with pytest.raises(ConfigError, match="accuracy must be a number"):
        Measurement(accuracy=math.nan)
    with pytest.raises(ConfigError, match="latency must be above 0"):
        Measurement.timed(0.9, latency_ms=0.0, power_w=15.0)
    with pytest.raises(ConfigError, match="target for speed"):
        loop().report(Measurement(accuracy=0.9))
    with pytest.raises(ConfigError, match="no round yet"):
        _ = loop().best
