"""A pruned network as it is handed over: a torch module, the form in which it is stored, and ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from rlprune.delivery.compact.file import Stored, compact_bytes
from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.reading import initializers, input_arrays
from rlprune.delivery.onnx.session import Feed
from rlprune.delivery.onnx.verifying import TOLERANCE
from rlprune.pruning.quantization import Int8Inputs, Range, WeightPlace
from rlprune.tasks.batches import batches
from rlprune.tasks.split import Split

INT8_TOLERANCE = 0.25
"""Layers in int8 round their outputs too, which torch does not imitate; and noise is no image."""


@dataclass(frozen=True, eq=False)
class Delivered:
    """What a plan makes of a network.

    Attributes:
        module: as it computes: weights masked and rounded, and the inputs of layers in int8 rounded too.
        stored: ``state_dict`` key -> how a treated weight is stored; empty where all are plain.
        ranges: layer that computes in int8 -> range of what it reads.
        rounding: of these inputs.
        narrow: layer whose weight has fewer than 32 bits -> these, and where its weight stands.
    """

    module: nn.Module
    stored: Mapping[str, Stored] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    rounding: Int8Inputs | None = None
    narrow: Mapping[str, tuple[int, WeightPlace]] = field(default_factory=dict)

    @property
    def tolerance(self) -> float:
        """How far ONNX may differ from torch, as a share of an output's largest value."""
        return TOLERANCE if self.rounding is None else INT8_TOLERANCE

    def compact(self) -> bytes | None:
        """The content of a compact file (:mod:`rlprune.delivery.compact.file`); None where no weight was treated."""
        return compact_bytes(self.module.state_dict(), self.stored) if self.stored else None

    def onnx(self, example_inputs: Any, calibration: Split, *, batch: int = 1) -> bytes:
        """A serialised ``ModelProto``; layers in int8 as ONNX Runtime's quantizer writes them.

        Other weights in few bits stand in it so, where the exporter left them as they are and removed entries are zero
        (see :meth:`wide_in`), and compute in float.

        Args:
            calibration: tells the ranges of what layers in int8 answer.

        Raises:
            NetworkError, DeviceError: see :func:`rlprune.delivery.onnx.export.export_onnx_bytes` and
                :func:`rlprune.delivery.onnx.int8.quantize_onnx`.
        """
        if self.rounding is None:
            plain = not self.narrow
            return self._in_few_bits(export_onnx_bytes(self.module, example_inputs, batch=batch, optimize=plain))
        from rlprune.delivery.onnx.int8 import quantize_onnx  # it imports onnx, which nothing else here needs

        with self.rounding.off():
            model = export_onnx_bytes(self.module, example_inputs, batch=batch, optimize=False)
        feeds = _feeds(model, calibration, batch)
        return self._in_few_bits(quantize_onnx(model, list(self.ranges), feeds, self.ranges))

    def _in_few_bits(self, model: bytes) -> bytes:
        places = {name: place for name, place in self._computed_in_float().items() if not self._holds_mean(place.key)}
        tensors = initializers(model) if places else {}
        bits = {name: self.narrow[name][0] for name, place in places.items() if place.key in tensors}
        if not bits:
            return model
        from rlprune.delivery.onnx.few_bits import weight_only_onnx  # as above

        return weight_only_onnx(model, bits, places)

    def _computed_in_float(self) -> dict[str, WeightPlace]:
        return {name: place for name, (_, place) in self.narrow.items() if name not in self.ranges}

    def wide_in(self, model: bytes) -> list[str]:
        """Layers of few bits whose weight stands as float32 in an ONNX network.

        The exporter rewrote it, or removed entries hold their mean, which is none of its codes.
        """
        from rlprune.delivery.onnx.few_bits import CODES

        tensors = initializers(model)
        return [name for name, place in self._computed_in_float().items() if place.key + CODES not in tensors]

    def _holds_mean(self, key: str) -> bool:
        """Whether a weight holds a number that none of its codes stands for."""
        stored = self.stored.get(key)
        return stored is not None and stored.mask is not None and stored.mean


def _feeds(model: bytes, calibration: Split, batch: int) -> Iterator[Feed]:
    for inputs in batches(calibration, batch, torch.device("cpu")):
        yield input_arrays(model, inputs, batch)
