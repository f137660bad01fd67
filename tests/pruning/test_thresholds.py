"""What a threshold removes."""

from __future__ import annotations

import math

import pytest
import torch

from rlprune.errors import RlpruneError
from rlprune.pruning.thresholds import (
    LayerPruningStrategy,
    NeuronPruningStrategy,
    PruningStrategy,
    WeightPruningStrategy,
)

WEIGHTS = {
    "a": torch.tensor([[0.1, -0.2, 0.3, -0.4]]),
    "b": torch.tensor([[0.5, 0.05], [-0.25, 0.0]]),
}


def test_one_threshold_gives_each_layer_its_density() -> None:
    assert WeightPruningStrategy(0.2).shares(WEIGHTS) == {"a": 0.5, "b": 0.5}  # 0.2 itself goes
    assert WeightPruningStrategy(0.0).shares(WEIGHTS) == {"a": 1.0, "b": 0.75}
    assert WeightPruningStrategy(0.2).masks(WEIGHTS)["b"].tolist() == [[True, False], [True, False]]


def test_a_layer_that_would_lose_everything_is_named() -> None:
    assert WeightPruningStrategy.ceiling(WEIGHTS) == pytest.approx(0.4)
    with pytest.raises(RlpruneError, match=r"\ba\b.*0\.4"):
        WeightPruningStrategy(0.45).shares(WEIGHTS)


def test_neurons_go_by_their_norm_relative_to_the_layers_mean() -> None:
    layers = {"hidden": torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 3.0]]), "conv": torch.ones(4, 2, 3, 3)}
    assert NeuronPruningStrategy(0.5).shares(layers) == {"hidden": pytest.approx(2 / 3), "conv": 1.0}  # mean norm 3
    scaled = {name: 100 * weight for name, weight in layers.items()}
    assert NeuronPruningStrategy(0.5).shares(scaled) == NeuronPruningStrategy(0.5).shares(layers)
    assert NeuronPruningStrategy(9.0).shares(layers) == {"hidden": pytest.approx(1 / 3), "conv": 0.25}


def test_layers_are_dropped_by_the_size_of_their_weights() -> None:
    blocks = {"small": torch.full((100,), -0.1), "large": torch.full((4, 5), 0.5)}
    assert LayerPruningStrategy(0.5).shares(blocks) == {"small": 0.0, "large": 1.0}
    assert LayerPruningStrategy(0.0).shares(blocks) == {"small": 1.0, "large": 1.0}
    assert LayerPruningStrategy(0.5).shares({}) == {}


@pytest.mark.parametrize("kind", [WeightPruningStrategy, NeuronPruningStrategy, LayerPruningStrategy])
def test_a_higher_threshold_never_keeps_more(kind: type[WeightPruningStrategy]) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(9, 7, generator=generator) * scale for name, scale in (("x", 1.0), ("y", 0.6))}
    strategies: list[PruningStrategy] = [kind(threshold) for threshold in (0.0, 0.3, 0.7, 0.9, 1.1)]
    shares = [strategy.shares(weights) for strategy in strategies]
    for name in weights:
        row = [share[name] for share in shares]
        assert row == sorted(row, reverse=True)
        assert row[0] == 1.0
        assert row[-1] < 1.0 or kind is LayerPruningStrategy


@pytest.mark.parametrize("threshold", [-0.1, math.nan, math.inf])
@pytest.mark.parametrize("kind", [WeightPruningStrategy, NeuronPruningStrategy, LayerPruningStrategy])
def test_thresholds_out_of_range_are_refused(kind: type[WeightPruningStrategy], threshold: float) -> None:
    with pytest.raises(RlpruneError, match="threshold must be a number from 0 on"):
        kind(threshold)


def test_an_unknown_replacement_is_refused() -> None:
    with pytest.raises(RlpruneError, match="median"):
        WeightPruningStrategy(0.1, "median")  # type: ignore[arg-type]
