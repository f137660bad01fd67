"""Runs a network once and follows the channels of every parameter through its operations.

The network runs for real, under a ``TorchDispatchMode`` that sees every aten operation it is made of: functional calls,
methods, operators and custom autograd functions included. Rules (:mod:`rlprune.networks.tracing.rules`) say what an
operation does to labels: element-wise operations join them, products connect a weight's inputs to what they read,
reshapes merge and split them. What no rule knows fixes the labels it touches, and tracing goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from rlprune.networks.contexts import hooked
from rlprune.networks.inputs import Inputs, batch_size, forward, named_tensors_in, plain, tensors_in
from rlprune.networks.outputs import OUTPUT, Pick, everything
from rlprune.networks.tensors import named_tensors
from rlprune.networks.tracing import recurrent, rules
from rlprune.networks.tracing.labelling import Labelling
from rlprune.networks.tracing.records import Call


class Tracer(Labelling, TorchDispatchMode):
    """Follows labels through one forward pass.

    Args:
        model: in eval mode.
        inputs: example inputs.
        taken: site -> way to cut that is taken there instead of the usual one.
        opaque: modules whose insides are not followed: what they touch stays whole.
        outputs: picks from what the model answers the tensors whose channels must stay; all, where nothing is said.
    """

    def __init__(
        self, model: nn.Module, inputs: Inputs, taken: Mapping[str, int] | None = None, opaque: Collection[str] = (),
        outputs: Pick = everything,
    ) -> None:  # fmt: skip
        TorchDispatchMode.__init__(self)
        self.inputs = inputs = plain(inputs)
        Labelling.__init__(self, model, batch_size(inputs), dict(taken or {}))
        self.failed_in = ""
        self._picked = outputs
        self._opaque = set(opaque)
        self._live = WeakTensorKeyDictionary()
        self._names = {module: name for name, module in self._modules.items()}
        for _, tensor in named_tensors(model):
            if tensor.is_floating_point():
                self._live[tensor] = True
        for tensor in tensors_in(inputs):
            self._given[tensor] = True
            if tensor.is_floating_point():
                self._live[tensor] = True

    def left(self, module: str, output: Any) -> None:
        """A module has answered; subclasses may look at it."""

    def execute(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation; subclasses may change what it computes."""
        return func(*args, **kwargs)

    def follow(self, func: Any, call: Call) -> None:
        """Label the outputs of an operation."""
        opaque = next((part for part in self.path if part in self._opaque), None)
        if opaque is None:
            rules.apply(self, func, call)
        else:
            rules.give_up(self, call, decides(opaque))

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        output = self.execute(func, name, args, kwargs)
        made = Call(name, args, kwargs, output)
        sources = made.tensors
        self._note_use(sources)
        if name in ("_local_scalar_dense", "equal") and any(tensor in self._live for tensor in sources):
            self.found.deciding.add(self.path[-1])
        outputs = list(tensors_in(output))
        if outputs:
            self.follow(func, made)
            self._inherit(name, sources, outputs)
            self._count_uses(sources, outputs)
        return output

    def _note_use(self, sources: list[torch.Tensor]) -> None:
        for tensor in sources:
            label, reason = self._pending.get(tensor) or (None, "")
            self.atoms.fix(label, reason)
            key = self.origin(tensor)
            if key is not None:
                self.found.first_use.setdefault(key, len(self.found.first_use))

    def _inherit(self, name: str, sources: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        origins = {self.origin(tensor) for tensor in sources if tensor.dim()}
        alone = origins.pop() if len(origins) == 1 else None
        live = any(tensor in self._live for tensor in sources)
        given = any(tensor in self._given for tensor in sources)
        for output in outputs:
            if given:
                self._given[output] = True
            if live and not (name == "_pack_padded_sequence" and not output.is_floating_point()):
                self._live[output] = True
            if alone is not None:
                self._origin[output] = alone

    def _count_uses(self, sources: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        """Output elements per sample of operations that combine a parameter with activations."""
        if self.origin(outputs[0]) is None:
            for key in {self.origin(tensor) for tensor in sources} - {None}:
                assert key is not None
                self.found.uses[key] = self.found.uses.get(key, 0.0) + outputs[0].numel() / self.batch

    def run(self) -> Any:
        """Run the model under this mode; what is picked of its outputs stays whole."""
        recurrent = any(isinstance(module, nn.RNNBase) for module in self._names)
        with torch.inference_mode(False), self._watching_modules(), plain_kernels(recurrent), torch.no_grad(), self:
            output = forward(self.model, self.inputs)
            picked = list(named_tensors_in(self._picked(output)))  # what it computes of them is followed too
        self.found.outputs = tuple(name for name, _ in named_tensors_in(output))
        self._note_use([tensor for _, tensor in picked])
        for name, tensor in picked:
            for label in self.labels(tensor):
                self.atoms.fix(label, OUTPUT if len(picked) == 1 else f"{OUTPUT} ({name})")
        return output

    @contextlib.contextmanager
    def _watching_modules(self) -> Iterator[None]:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> Any:
            self.path.append(self._names[module])
            self.failed_in = self.path[-1]
            with contextlib.suppress(Exception):  # odd arguments: the state it makes itself is followed
                return recurrent.with_labelled_state(self, module, args, kwargs)

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            self.left(self.path.pop(), output)
            if output is not None:  # None comes where the module failed
                self.failed_in = self.path[-1]

        handles: list[Any] = []
        for module in self._names:
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(module.register_forward_hook(leave, always_call=True))
        try:
            with hooked(handles):
                yield
        finally:
            self.path[1:] = []


def decides(module: str) -> str:
    """Why nothing inside a module is followed."""
    return f"{module or 'the network'} decides on the values it computes which of its layers it uses"


@contextlib.contextmanager
def plain_kernels(recurrent: bool) -> Iterator[None]:
    """Run recurrent and attention modules as the plain operations they are made of."""
    fast, onednn = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    if recurrent:
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # its recurrent layers are one operation
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        if recurrent:
            torch.backends.mkldnn.enabled = onednn
