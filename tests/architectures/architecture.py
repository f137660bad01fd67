"""What an entry of the collection says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Architecture:
    """A small network and what a person expects of its groups.

    Attributes:
        name: of the entry, such as ``resnet-bottleneck``.
        pattern: what it shows, in one phrase.
        build: the network with random weights; the caller seeds torch.
        inputs: example inputs of a batch of two, from a generator of their own.
        whole: layers that are expected to be left whole -> a part of the reason.
        groups: how many there are, where a person can say it.
        requires: a package that must be importable.
    """

    name: str
    pattern: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...] | dict[str, Any]]
    whole: Mapping[str, str] = field(default_factory=dict)
    groups: int | None = None
    requires: str | None = None
