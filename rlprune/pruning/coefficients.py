"""The weight and bias of a layer that is linear in its inputs, in one form for every way of storing them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from rlprune.networks.layers import Layer


@dataclass(frozen=True, eq=False)
class Coefficients:
    """theta of one layer: what its inputs, and the constant 1 where it has a bias, are multiplied with.

    Attributes:
        weight: as the layer stores it: ``[out, in, *kernel]``, ``[in, out, *kernel]`` (transposed convolutions, and
            matrices stored that way), or ``[groups * out, in, *kernel]`` with the inputs of one group.
        bias: ``[groups * out]``, or None.
        out_dim, in_dim: dimensions of ``weight``.
        groups: of a grouped convolution, else 1; more than 1 only where ``out_dim`` is 0.
        scales: what forward multiplies the stored weight and bias with before it uses them.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    out_dim: int = 0
    in_dim: int = 1
    groups: int = 1
    scales: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(
        cls, layer: Layer, tensors: dict[str, torch.Tensor], scales: tuple[float, float] = (1.0, 1.0)
    ) -> Coefficients:
        """The coefficients of a layer with a weight that has both sides; ``tensors``: ``state_dict`` key -> tensor."""
        assert layer.weight is not None
        sides = layer.tensors[layer.weight]
        bias = None if layer.bias is None else tensors[layer.bias]
        return cls(tensors[layer.weight], bias, sides.index("out"), sides.index("in"), layer.groups, scales)

    @property
    def outputs(self) -> int:
        """Number of outputs of one group of the layer."""
        return self.weight.shape[self.out_dim] // self.groups

    @property
    def inputs(self) -> int:
        """Number of inputs of one group of the layer."""
        return self.weight.shape[self.in_dim]

    @property
    def kernel(self) -> int:
        """Weights that join one input to one output."""
        return self.weight.numel() // (self.weight.shape[self.in_dim] * self.weight.shape[self.out_dim])

    @property
    def weight_columns(self) -> int:
        """Inputs of one group times kernel elements."""
        return self.inputs * self.kernel

    @property
    def columns(self) -> int:
        """Coefficients of one output: the constant, then (input, kernel element)."""
        return len(self.constant) + self.weight_columns

    @property
    def constant(self) -> torch.Tensor:
        """The column of the bias, if there is one."""
        return torch.arange(int(self.bias is not None))

    def weight_columns_of(self, positions: torch.Tensor) -> torch.Tensor:
        """Columns of the weight alone that belong to these input positions, in their order."""
        return (positions[:, None] * self.kernel + torch.arange(self.kernel)).flatten()

    def columns_of(self, positions: torch.Tensor) -> torch.Tensor:
        """Columns of theta that belong to these input positions, in their order."""
        return self.weight_columns_of(positions) + len(self.constant)

    @property
    def matrix(self) -> torch.Tensor:
        """The weight alone, ``[groups, outputs, inputs * kernel]``; a view where the layer stores it so."""
        weight = self.weight.movedim((self.out_dim, self.in_dim), (0, 1))
        return weight.reshape(self.groups, self.outputs, -1)

    def theta(self, columns: torch.Tensor | None = None, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """``[groups, outputs, columns]`` as they multiply, of all columns or of some, on the CPU."""
        theta = _scaled(self.matrix, self.scales[0])
        if self.bias is not None:
            theta = torch.cat([_scaled(self.bias, self.scales[1]).view(self.groups, -1, 1), theta], dim=2)
        return (theta if columns is None else theta[:, :, columns.to(theta.device)]).to("cpu", dtype)

    def stored(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Fitted ``[groups, outputs, columns]`` of fewer inputs as a weight and a bias, as the layer stores them."""
        kept = theta[:, :, len(self.constant) :].flatten(0, 1)
        kernel = self.weight.movedim((self.out_dim, self.in_dim), (0, 1)).shape[2:]
        weight = kept.reshape(len(kept), kept.shape[1] // math.prod(kernel), *kernel)
        weight = _scaled(weight.movedim((0, 1), (self.out_dim, self.in_dim)), 1 / self.scales[0])
        weight = weight.to(self.weight.dtype).contiguous()
        if self.bias is None:
            return weight, None
        return weight, _scaled(theta[:, :, 0].flatten(), 1 / self.scales[1]).to(self.bias.dtype).contiguous()


def _scaled(tensor: torch.Tensor, scale: float) -> torch.Tensor:
    return tensor if scale == 1 else tensor * scale
