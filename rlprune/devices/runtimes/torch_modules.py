"""Torch itself as a runtime: eager, with channels last, or compiled. What processor and GPU have in common."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.devices.runtimes.checks import check_present
from rlprune.errors import DeviceError, kind_and_line, unknown_name
from rlprune.networks import surgery
from rlprune.networks.inputs import Inputs, as_batch, forward, map_tensors, tensors_in
from rlprune.networks.layout import as_channels_last, to_channels_last
from rlprune.networks.network import Network

MODES = ("eager", "channels_last", "compile")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchRuntime(Runtime):
    """Base of the torch runtimes.

    Args:
        mode: ``eager``; ``channels_last`` for the other layout of images in memory; ``compile`` for ``torch.compile``
            with inductor, which compiles for each plan (up to 40 s, of a small network after the first one a second)
            and takes only networks that it can capture as one graph, whose shapes are then fixed.
        device: where modules and inputs are placed.

    Raises:
        DeviceError: an unknown mode.
    """

    def __init__(self, mode: str, device: str) -> None:
        if mode not in MODES:
            raise DeviceError(unknown_name("mode of torch", mode, MODES))
        self.mode = mode
        self.device = device

    def load(self, network: Network, widths: IntArray) -> Inference:
        module = surgery.prune(network, surgery.leading_channels(network, widths))
        return self.load_module(module, network.example_inputs)

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        check_present(self, f"Torch on {self.device!r}")
        try:
            placed = self._placed(module)
            inputs = self._laid_out(as_batch(example_inputs, self.identity.batch, self.device))
            forward = _compiled(placed) if self.mode == "compile" else placed
            inference = LoadedModule(forward, inputs, _bytes(placed, inputs))
            self._first_run(inference)
        except Exception as reason:  # compilers raise whatever they like
            raise DeviceError(
                f"Torch must run this network as {self.mode} in {self.identity.precision}; it said "
                f"{kind_and_line(reason)}. Choose another runtime or precision."
            ) from reason
        return inference

    def _first_run(self, inference: Inference) -> None:
        """It compiles, and what the network cannot do shows here, not in the middle of a measurement."""
        inference()

    def _placed(self, module: nn.Module) -> nn.Module:
        placed = copy.deepcopy(module).to(self.device, DTYPES[self.identity.precision]).eval()
        return to_channels_last(placed) if self.mode == "channels_last" else placed

    def _laid_out(self, inputs: Inputs) -> Inputs:
        dtype = DTYPES[self.identity.precision]

        def lay_out(tensor: torch.Tensor) -> torch.Tensor:
            tensor = tensor.to(dtype) if tensor.is_floating_point() else tensor
            return as_channels_last(tensor) if self.mode == "channels_last" else tensor

        laid_out: Inputs = map_tensors(lay_out, inputs)
        return laid_out


class LoadedModule:
    """A module with its inputs; calling it runs it once.

    Args:
        forward: the module, or the function it was compiled to.
        inputs: its arguments.
        resident_bytes: of parameters, buffers and inputs.
    """

    def __init__(self, forward: Any, inputs: Inputs, resident_bytes: int) -> None:
        self.resident_bytes = resident_bytes
        self._forward, self._inputs = forward, inputs

    def __call__(self) -> object:
        with torch.inference_mode():
            return forward(self._forward, self._inputs)


def missing_compiler(device: str) -> str | None:
    """Why ``torch.compile`` cannot make code for ``cpu`` or ``cuda`` here; None where it can."""
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return "torch.compile needs the package triton, which is not installed"
    compilers = ["cc", "gcc", "clang"] if device == "cuda" else ["g++", "clang++"]
    chosen = os.environ.get("CC" if device == "cuda" else "CXX")
    if any(shutil.which(name) for name in [chosen or "", *compilers]):
        return None
    return f"torch.compile needs a compiler; none of {', '.join(compilers)} is found"


def _compiled(module: nn.Module) -> Callable[..., object]:
    """Torch keeps compiled graphs per code object and runs the ninth uncompiled, so each module gets its own."""

    def forward(*arguments: Any, **keywords: Any) -> object:
        return module(*arguments, **keywords)

    own = types.FunctionType(forward.__code__.replace(), forward.__globals__, "forward", None, forward.__closure__)
    compiled: Callable[..., object] = torch.compile(own, fullgraph=True, dynamic=False)
    return compiled


def _bytes(module: nn.Module, inputs: Inputs) -> int:
    tensors = [*module.parameters(), *module.buffers(), *tensors_in(inputs)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
