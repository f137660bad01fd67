"""Ways of evaluating a pruned network on the search samples: torch in several forms, ONNX Runtime, OpenVINO."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy.typing as npt
import torch
from torch import nn

from rlprune.errors import NetworkError
from rlprune.experiments.benchmarks.folding import conv_norm_pairs, drop_norms, folded
from rlprune.networks import layout
from rlprune.networks.inputs import call
from rlprune.pruning import batchnorm
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.base import Task
from rlprune.tasks.batches import even_batches
from rlprune.tasks.split import Split

Tensors = Mapping[str, torch.Tensor]
Forward = Callable[[], torch.Tensor]
"""Runs a started network on all search samples; gives what the task scores, ``[samples, ...]``."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What every way evaluates: plans of one network on the same samples."""

    tables: PruningTables
    task: Task
    split: Split


class Way(ABC):
    """One way of evaluating plans.

    Attributes:
        name: for people.
        batch: samples in one forward, at most.
        batch_statistics: whether BatchNorms use those of each batch instead of the dense network's running ones.
        kernels: ways with the same value run the same kernels: the second to run a plan finds them made.
    """

    name: str
    batch: int
    batch_statistics: bool = False
    kernels: str

    @abstractmethod
    def start(self, widths: npt.ArrayLike, tensors: Tensors) -> Forward:
        """Make the plan ready to run; the next start may end it.

        Args:
            widths: ``[G]``.
            tensors: what :meth:`PruningTables.tensors` gives for them: cut and repaired.

        Raises:
            NetworkError, DeviceError: the way does not take this network.
        """


class TorchWay(Way):
    """Torch, with the tensors put into one module as the search does.

    Args:
        channels_last: the memory layout. The tables keep their own: for another, each start copies.

    Raises:
        NetworkError: the network does not run with channels last.
    """

    def __init__(
        self, subject: Subject, name: str, *, batch: int, batch_statistics: bool = False, channels_last: bool
    ) -> None:
        if channels_last and not subject.tables.channels_last:
            raise NetworkError("the network does not run with channels last, or has no weights of four dimensions")
        self.name, self.batch, self.batch_statistics = name, batch, batch_statistics
        self.kernels = f"torch, batch {batch}, channels last: {channels_last}"
        self._task = subject.task
        self._shell = subject.tables.shell()
        self._copies = subject.tables.channels_last and not channels_last
        if self._copies:
            layout.to_contiguous(self._shell.module)
        batchnorm.use_batch_statistics(self._shell.module, float(batch_statistics))
        self._inputs = list(even_batches(subject.split, batch, subject.tables.device, channels_last))

    def start(self, widths: npt.ArrayLike, tensors: Tensors) -> Forward:
        placed = {key: self._placed(tensor) for key, tensor in tensors.items()}
        return self._forward(self._shell.fill(placed, widths))

    @property
    def module(self) -> nn.Module:
        """The network that holds the plan started last."""
        return self._shell.module

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        if not self._copies:
            return tensor
        # ``contiguous`` keeps the strides of 1 x 1 kernels, and one such weight turns what follows to channels last.
        return torch.empty_like(tensor, memory_format=torch.contiguous_format).copy_(tensor)

    def _forward(self, module: nn.Module) -> Forward:
        def run() -> torch.Tensor:
            with torch.inference_mode():
                return torch.cat([self._task.outputs(call(module, batch)) for batch in self._inputs])

        return run


class FoldedWay(TorchWay):
    """Torch without the BatchNorms that directly follow a convolution; other BatchNorms stay.

    Raises:
        NetworkError: no BatchNorm directly follows a convolution.
    """

    def __init__(self, subject: Subject, name: str, *, batch: int, channels_last: bool) -> None:
        super().__init__(subject, name, batch=batch, channels_last=channels_last)
        self.kernels = f"{self.kernels}, folded"
        self._pairs = conv_norm_pairs(self._shell.module, self._inputs[0])
        if not self._pairs:
            raise NetworkError("no BatchNorm directly follows a convolution")
        self._dense = dict(copy.deepcopy(self._shell.module).state_dict())
        self._eps = drop_norms(self._shell.module, self._pairs)

    def start(self, widths: npt.ArrayLike, tensors: Tensors) -> Forward:
        with torch.inference_mode():
            kept = folded(tensors, self._dense, self._pairs, self._eps)
        return self._forward(self._shell.fill(kept, widths))
