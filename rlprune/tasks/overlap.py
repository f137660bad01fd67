"""What tells samples and splits apart; samples in two splits would make a pruned network look better than it is."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlprune.errors import TaskError
from rlprune.tasks.split import Split

TOLERATED = 0.01
STANDARD_ERRORS = 3


def sample_digests(split: Split) -> list[bytes]:
    """One digest per sample, of all its inputs: equal where two samples are the same to the last bit."""
    rows = [tensor.detach().cpu().reshape(len(split), tensor[0].numel()).contiguous() for tensor in split.tensors]
    samples = zip(*(row.numpy().view(np.uint8) for row in rows), strict=True)
    return [_digest(sample) for sample in samples]


def split_digest(split: Split) -> str:
    """sha256 of a split's targets and inputs: two machines that agree on it cut the data alike."""
    digest = hashlib.sha256(split.targets.cpu().contiguous().numpy().tobytes())
    for tensor in split.tensors:
        # Rounded, because normalisation may differ in the last bit between machines.
        digest.update((tensor.cpu() * 1000).round().to(torch.int32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _digest(parts: tuple[npt.NDArray[Any], ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.data)
    return digest.digest()


def check_apart(names: tuple[str, str], first: list[bytes], second: list[bytes]) -> None:
    """Refuse two splits that share samples: exact copies, beyond those that the data repeat by nature.

    Short rows of discrete values repeat: a sample of the second split then finds its twin in the first about as often
    as one of the first finds another there. That share and three standard errors of it are granted, and 1% besides.

    Args:
        names: what the splits are called.
        first, second: their :func:`sample_digests`.

    Raises:
        TaskError: more samples of the second stand in the first.
    """
    counts = Counter(first)
    copies = sum(digest in counts for digest in second)
    repeated = sum(count for count in counts.values() if count > 1) / len(first)
    error = (repeated * (1 - repeated) / min(len(first), len(second))) ** 0.5
    if copies > (TOLERATED + repeated + STANDARD_ERRORS * error) * len(second):
        raise TaskError(
            f"The {names[0]} and {names[1]} splits must share no sample; {copies} of {len(second)} {names[1]} samples "
            f"stand among the {names[0]} samples too. Cut the data without overlap."
        )
