"""What every runtime offers: load a pruned network, run it, time it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.space import Space
from rlprune.errors import DeviceError, RlpruneError
from rlprune.networks import surgery
from rlprune.networks.network import Network
from rlprune.pruning.blocks.depth import drop_blocks
from rlprune.support.records import Whole

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
        warmup: runs before each block of timed ones, whose time does not count.
    """

    name: str
    version: str
    provider: str
    threads: Whole
    batch: Whole
    precision: str
    warmup: Whole = 1

    def __str__(self) -> str:
        """The runtime in one line for people."""
        parts = [f"{self.name} {self.version}".strip(), self.provider, f"batch {self.batch}", self.precision]
        return ", ".join(parts + ([f"{self.threads} thread(s)"] if self.threads else []))


class Runtime(ABC):
    """A way of running networks on one device.

    Attributes:
        identity: what its measurements rest on.
        int8: whether layers can be computed in int8.
        round_s: a round of timing takes at least this long, so that rounds of small networks are spread over seconds
            too: slow spells of a shared machine last some tenths of a second.
    """

    identity: RuntimeIdentity
    int8: bool = False
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

    def load_mix(self, network: Network, space: Space, row: IntArray) -> Inference:
        """A plan that drops blocks and computes layers in int8, ready to run (values do not matter for time).

        Args:
            network: the dense network.
            space: of the network; ``row`` ``[K]`` is a plan in it.

        Raises:
            NetworkError: the shortened network cannot be exported for this runtime.
            DeviceError: the runtime refuses it, or computes nothing in int8.
        """
        if space.computed_in_int8(row):
            raise DeviceError(f"{self.identity.name} computes nothing in int8 here. Leave bits out, or use cpu.")
        widths = space.widths(row[None])[0]
        module = surgery.prune(network, surgery.leading_channels(network, widths))
        return self.load_module(drop_blocks(module, space.blocks, space.dropped(row)), network.example_inputs)

    def load_onnx(self, model: bytes, example_inputs: Any) -> Inference:
        """A serialised ``ModelProto`` with the batch of this runtime, ready to run.

        Raises:
            DeviceError: the runtime takes no ONNX, or refuses it.
        """
        raise DeviceError(f"{self.identity.name} takes no ONNX networks, so none in int8. Use cpu:onnxruntime.")

    def peak_bytes(self, inference: Inference) -> int | None:
        """Memory that one run takes at most, weights included, where the runtime can tell; else None."""
        return None

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        """Milliseconds of ``repeats`` runs back to back, ``[repeats]``, after those of the warm-up.

        Raises:
            DeviceError: the device stopped answering.
        """
        samples = np.empty(repeats)
        clock = time.perf_counter
        with self.answering():
            for _ in range(self.identity.warmup):
                inference()
            for index in range(repeats):
                start = clock()
                inference()
                samples[index] = clock() - start
        return samples * 1e3

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turns whatever a library raises while a network runs into one clear error."""
        try:
            yield
        except RlpruneError:
            raise
        except Exception as reason:
            told = (str(reason).splitlines() or [""])[0] or type(reason).__name__
            raise DeviceError(f"The device stopped answering ({told}). Check it, and measure again.") from reason
