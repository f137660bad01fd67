"""Example inputs of a batch of two, always the same, and reasons why layers stay whole."""

from __future__ import annotations

import torch

OUTPUT = "output of the network"
ONE = "one channel only"
SOFTMAX = "softmax"
TABLE = "rows of a table"


def generator(seed: int = 0) -> torch.Generator:
    """A generator of its own, so that no test depends on another's draws."""
    return torch.Generator().manual_seed(seed)


def token_ids(length: int, vocabulary: int, seed: int = 0, batch: int = 2) -> torch.Tensor:
    """``int64 [batch, length]``."""
    return torch.randint(vocabulary, (batch, length), generator=generator(seed))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal numbers of any shape."""
    return torch.randn(shape, generator=generator(seed))
