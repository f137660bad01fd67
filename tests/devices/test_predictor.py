"""The predictor: exact in its own family, monotone, quick to bind."""

from __future__ import annotations

import numpy as np
import pytest

from rlprune.arrays import IntArray
from rlprune.devices.profiles.predictor import FEATURES, LatencyPredictor, LayerFeatures, timed_layers
from rlprune.devices.profiling.fitting import fit_predictor, paying_widths
from rlprune.devices.profiling.plans import choose_plans
from rlprune.errors import DeviceError, ProfileError
from rlprune.networks.network import Network


def table_predictor(network: Network, block: int, seed: int) -> LatencyPredictor:
    """A predictor with random coefficients for every layer and feature."""
    generator = np.random.default_rng(seed)
    layers = {
        layer.name: {feature: float(generator.random()) * 1e-5 for feature in FEATURES}
        for layer in timed_layers(network)
    }
    return LatencyPredictor(0.02, block, layers)


def by_hand(network: Network, predictor: LatencyPredictor, widths: IntArray) -> float:
    """The sum of the module's docstring, layer by layer."""
    out, into = network.axis_widths(widths)
    total = predictor.intercept_ms
    for index, layer in enumerate(network.layers):
        values = predictor.layers.get(layer.name, {})
        stride = float(np.prod(layer.stride)) if layer.stride else 1.0
        for prefix, block in (("", 1), ("block_", predictor.block)):
            outputs = -(-int(out[0, index]) // block) * block
            inputs = -(-int(into[0, index]) // block) * block
            total += values.get(f"{prefix}macs", 0) * layer.macs_per_pair * outputs * (inputs or 1)
            total += values.get(f"{prefix}outputs", 0) * layer.positions * outputs
            total += values.get(f"{prefix}inputs", 0) * layer.positions * stride * inputs
    return total


@pytest.mark.parametrize("block", [1, 8, 16])
def test_bound_predictor_is_the_sum_it_says(depthwise_network: Network, block: int) -> None:
    predictor = table_predictor(depthwise_network, block, seed=block)
    plans = choose_plans(depthwise_network, 20, seed=3)
    wanted = [by_hand(depthwise_network, predictor, plan[None]) for plan in plans]
    assert predictor.bind(depthwise_network)(plans) == pytest.approx(wanted, rel=1e-12)


def test_features_of_the_dense_network_count_its_macs(residual_network: Network) -> None:
    features = LayerFeatures(residual_network, 1)(residual_network.dense_widths[None])
    assert features.shape == (1, len(timed_layers(residual_network)), len(FEATURES))
    assert features[0, :, 0].sum() == pytest.approx(residual_network.macs(residual_network.dense_widths)[0])


@pytest.mark.parametrize("block", [1, 8, 16])
def test_recovers_a_device_of_its_own_family(depthwise_network: Network, block: int) -> None:
    true = LatencyPredictor(
        0.03,
        block,
        {
            "0": {"macs": 3e-6},
            "3": {"macs": 3e-6, "outputs": 1e-6},
            "6": {"block_macs": 1e-6, "inputs": 2e-6},
            "9": {"block_macs": 4e-6},
            "11": {"outputs": 1e-5},
        },
    )
    plans = choose_plans(depthwise_network, 140, seed=0)
    latency = true.bind(depthwise_network)(plans)
    fit = fit_predictor(depthwise_network, plans[:100], latency[:100])
    errors = np.abs(fit.predictor.bind(depthwise_network)(plans[100:]) / latency[100:] - 1)
    assert errors.max() < 2e-3
    assert fit.errors.shape == (99,)  # the dense plan is never left out
    assert np.median(fit.errors) < 2e-3


def test_never_falls_when_a_width_rises(depthwise_network: Network) -> None:
    generator = np.random.default_rng(0)
    plans = choose_plans(depthwise_network, 60, seed=1)
    noisy = generator.random(60) + 0.1  # a device that obeys no rule at all
    latency = fit_predictor(depthwise_network, plans, noisy).predictor.bind(depthwise_network)
    low = generator.integers(1, depthwise_network.dense_widths + 1, size=(500, len(depthwise_network.groups)))
    high = np.minimum(low + generator.integers(0, 9, size=low.shape), depthwise_network.dense_widths)
    assert (latency(high) >= latency(low) - 1e-12).all()
    assert (latency(low) > 0).all()


def test_one_row_and_many_agree(residual_network: Network) -> None:
    latency = table_predictor(residual_network, 8, 0).bind(residual_network)
    plans = choose_plans(residual_network, 10, seed=0)
    assert latency(plans) == pytest.approx([latency(plan[None])[0] for plan in plans])


def test_widths_inside_a_block_do_not_pay(depthwise_network: Network) -> None:
    blocks = LatencyPredictor(0.01, 16, {"6": {"block_macs": 1e-6}})
    smooth = LatencyPredictor(0.01, 1, {"6": {"macs": 1e-6}})
    group = depthwise_network.groups[1]
    assert group.width == 32
    assert paying_widths(depthwise_network, blocks)[group.name] == (16, 32)
    assert paying_widths(depthwise_network, smooth)[group.name] == group.widths


def test_every_group_keeps_its_dense_width(depthwise_network: Network) -> None:
    allowed = paying_widths(depthwise_network, table_predictor(depthwise_network, 16, 1))
    assert [widths[-1] for widths in allowed.values()] == list(depthwise_network.dense_widths)


def test_layers_of_another_network_are_refused(residual_network: Network) -> None:
    with pytest.raises(ProfileError, match="'elsewhere'"):
        LatencyPredictor(0.0, 1, {"elsewhere": {"macs": 1.0}}).bind(residual_network)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_bad_latencies_are_refused(residual_network: Network, bad: float) -> None:
    plans = choose_plans(residual_network, 10, seed=0)
    with pytest.raises(DeviceError, match="positive"):
        fit_predictor(residual_network, plans, np.array([*np.ones(9), bad]))
