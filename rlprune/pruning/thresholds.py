"""What a threshold removes: single weights, whole neurons, or whole layers.

Each strategy turns weights by name into the share of each that remains, in the words of a plan: densities of layers,
keep ratios of groups, blocks kept (1) or dropped (0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from rlprune.errors import ConfigError
from rlprune.pruning.weights import Replacement, WeightRule, mask_of_threshold


class PruningStrategy(Protocol):
    """``kind`` says what its shares are: ``weights``, ``channels`` or ``depth``."""

    kind: ClassVar[str]

    @property
    def threshold(self) -> float: ...

    def shares(self, weights: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """The share of each entry of ``weights`` that remains, in [0, 1]."""
        ...


@dataclass(frozen=True)
class WeightPruningStrategy:
    """Weights of magnitude up to one threshold are removed, in all layers alike.

    Attributes:
        threshold: in the weights' own units.
        replacement: what stands for a removed weight: ``zero``, or the ``mean`` of what a layer loses.

    Raises:
        ConfigError: the threshold is negative or not finite, or the replacement unknown.
    """

    threshold: float
    replacement: Replacement = "zero"
    kind: ClassVar[str] = "weights"

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)
        WeightRule(replacement=self.replacement)  # refuses an unknown one

    @staticmethod
    def ceiling(weights: Mapping[str, torch.Tensor]) -> float:
        """The threshold from which on some layer loses everything: the smallest of the layers' largest weights."""
        return min(float(weight.abs().max()) for weight in weights.values())

    def masks(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """True where an entry remains; a layer that would lose all of them is an error of :func:`mask_of_threshold`."""
        return {name: mask_of_threshold(weight, self.threshold, name) for name, weight in weights.items()}

    def shares(self, weights: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Layer -> density; ``weights`` holds each layer's weight."""
        return {name: float(mask.double().mean()) for name, mask in self.masks(weights).items()}


@dataclass(frozen=True)
class NeuronPruningStrategy:
    """Whole channels and units are removed whose norm is below a share of the mean norm of their layer.

    Attributes:
        threshold: relative to that mean; of a layer below it everywhere, the largest stays.

    Raises:
        ConfigError: the threshold is negative or not finite.
    """

    threshold: float
    kind: ClassVar[str] = "channels"

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)

    def shares(self, weights: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Group -> keep ratio; ``weights`` holds what makes its channels, ``[channels, ...]``."""
        return {name: _kept(weight.flatten(1).double().norm(dim=1), self.threshold) for name, weight in weights.items()}


@dataclass(frozen=True)
class LayerPruningStrategy:
    """Whole layers are dropped whose weights are small: root mean square below a share of that of all layers.

    Attributes:
        threshold: relative to the mean of the layers' root mean squares.

    Raises:
        ConfigError: the threshold is negative or not finite.
    """

    threshold: float
    kind: ClassVar[str] = "depth"

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)

    def shares(self, weights: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Block -> 1 where it stays, 0 where it is dropped; ``weights`` holds all weights of each block as one tensor.

        Only blocks that a network can do without belong in ``weights``, so all may be dropped.
        """
        sizes = {name: float(weight.double().square().mean().sqrt()) for name, weight in weights.items()}
        least = self.threshold * sum(sizes.values()) / max(len(sizes), 1)
        return {name: float(size >= least) for name, size in sizes.items()}


def _kept(norms: torch.Tensor, threshold: float) -> float:
    return max(1, int((norms >= threshold * norms.mean()).sum())) / len(norms)


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold < math.inf:
        raise ConfigError(f"A threshold must be a number from 0 on; {threshold!r} came.")
