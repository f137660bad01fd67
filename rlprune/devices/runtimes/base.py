"""What every runtime offers: load a pruned network, run it, time it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from rlprune.network import FloatArray, IntArray, Network

Inference = Callable[[], object]
"""Runs a loaded network once, on inputs that were prepared when it was loaded."""


@dataclass(frozen=True)
class RuntimeIdentity:
    """What a measurement rests on; two profiles compare only where it is equal.

    Attributes:
        name: ``onnxruntime``, ``torch``, ...
        version: of that library.
        provider: the back end inside it, such as ``CPUExecutionProvider``.
        threads: threads inside one operator; 0 where it has no meaning.
        batch: samples in one inference.
        precision: ``float32``, ...
    """

    name: str
    version: str
    provider: str
    threads: int
    batch: int
    precision: str


class Runtime(ABC):
    """One way of running networks on one device.

    Attributes:
        identity: what its measurements rest on.
        round_s: a round of timing takes at least this long, so that rounds of small networks are spread over seconds
            too: slow spells of a shared machine last some tenths of a second.
    """

    identity: RuntimeIdentity
    round_s: float = 0.1

    @abstractmethod
    def available(self) -> str | None:
        """None where the runtime can be used here, else the reason in one line."""

    @abstractmethod
    def device_name(self) -> str:
        """The processor or GPU that computes, for people to read."""

    @abstractmethod
    def load(self, network: Network, widths: IntArray) -> Inference:
        """``network`` cut to ``widths`` ``[G]`` (leading channels: values do not matter for time), ready to run.

        Raises:
            NetworkError: the network cannot be exported for this runtime.
            DeviceError: the runtime refuses it.
        """

    @abstractmethod
    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        """A finished module, truly exported, ready to run. Raises as :meth:`load`."""

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        """Milliseconds of ``repeats`` runs back to back, ``[repeats]``."""
        samples = np.empty(repeats)
        clock = time.perf_counter
        for index in range(repeats):
            start = clock()
            inference()
            samples[index] = clock() - start
        return samples * 1e3
