"""How much memory the tensors of one forward need at once."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from rlprune.networks.contexts import evaluated
from rlprune.networks.inputs import as_inputs, forward, map_tensors, tensors_in


def peak_tensor_bytes(module: nn.Module, example_inputs: Any) -> int:
    """Parameters and buffers, plus the most that inputs and intermediate tensors hold at once during one forward.

    It is what torch allocates for tensors in eager mode: each is freed when torch frees it, and what shares memory
    (views, operations in place) counts once. It depends on no runtime: one that fuses operations or plans its memory
    needs less, and what a kernel takes for itself while it runs, or an allocator keeps in reserve, comes on top.

    Args:
        module: run in evaluation mode without gradients; its modes are put back afterwards.
        example_inputs: a tensor, a tuple or a dict of arguments; all samples in them count.
    """
    state = [*module.parameters(), *module.buffers()]
    watch = _StorageWatch()
    with evaluated(module), torch.no_grad():
        inputs = map_tensors(torch.clone, as_inputs(example_inputs))  # a view of a large data set holds only itself
        for tensor in [*state, *tensors_in(inputs)]:
            watch.see(tensor)
        with watch:
            forward(module, inputs)
    return watch.peak


class _StorageWatch(TorchDispatchMode):
    """Sums the bytes of all storages that are alive, from the first operation that returned them on.

    Attributes:
        peak: the largest sum so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._total = 0
        self._alive: dict[int, tuple[weakref.ref[Any], int]] = {}

    def see(self, tensor: torch.Tensor) -> None:
        """Count the storage of ``tensor``, once; sparse tensors have none and do not count."""
        if tensor.layout != torch.strided:
            return
        storage = tensor.untyped_storage()
        key = int(storage._cdata)
        known, before = self._alive.get(key, (None, 0))
        alive = known or weakref.ref(storage, lambda _: self._forget(key))
        self._alive[key] = alive, storage.nbytes()
        self._total += storage.nbytes() - before
        self.peak = max(self.peak, self._total)

    def _forget(self, key: int) -> None:
        self._total -= self._alive.pop(key)[1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_in(result):
            self.see(tensor)
        return result
