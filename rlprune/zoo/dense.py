"""A classifier of two linear layers: 784-64-10 for images of 28x28, the example of many articles on pruning."""

from __future__ import annotations

from torch import nn


def fashion_dense() -> nn.Sequential:
    """Pixels, 64 hidden units with ReLU, 10 classes; for images [1, 28, 28]."""
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 64), nn.ReLU(), nn.Linear(64, 10))
