"""Runs a network once and follows the channels of every parameter through its operations.

The network runs for real, under a ``TorchDispatchMode`` that sees every aten operation it is made of: functional calls,
methods, operators and custom autograd functions included. Rules (``rlprune/tracing/rules``) say what an operation does
to labels: element-wise operations join them, products connect a weight's inputs to what they read, reshapes merge and
split them. What no rule knows fixes the labels it touches, and tracing goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from rlprune.networks.inputs import Inputs, batch_size, forward, named_tensors_in, plain, tensors_in
from rlprune.networks.outputs import OUTPUT, Pick, everything
from rlprune.networks.tracing.atoms import IntArray, Label, Labels
from rlprune.networks.tracing.records import Call, Choice, Size, Trace


class Tracer(TorchDispatchMode):
    """Follows labels through one forward pass; see :func:`trace`.

    Args:
        model: in eval mode.
        inputs: example inputs.
        choices: site -> option to take there instead of the first.
        opaque: modules whose insides are not followed: what they touch stays whole.
        outputs: picks from what the model answers the tensors whose channels must stay; all, where nothing is said.
    """

    def __init__(
        self, model: nn.Module, inputs: Inputs, choices: Mapping[str, int] | None = None, opaque: Collection[str] = (),
        outputs: Pick = everything,
    ) -> None:  # fmt: skip
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.inputs = inputs = plain(inputs)
        self.batch = batch_size(inputs)
        self.found = Trace()
        self.atoms = self.found.atoms
        self.path: list[str] = [""]
        self.failed_in = ""
        self._picked = outputs
        self._chosen = dict(choices or {})
        self._opaque = set(opaque)
        self._labels = WeakTensorKeyDictionary()
        self._origin = WeakTensorKeyDictionary()
        self._live = WeakTensorKeyDictionary()
        self._pending = WeakTensorKeyDictionary()
        self._given = WeakTensorKeyDictionary()
        self._initial: dict[str, tuple[IntArray, ...]] = {}
        self._modules = dict(model.named_modules())
        self._names = {module: name for name, module in self._modules.items()}
        self._label_parameters()
        for tensor in tensors_in(inputs):
            self._given[tensor] = True
            if tensor.is_floating_point():
                self._live[tensor] = True

    def _label_parameters(self) -> None:
        owners: dict[int, str] = {}
        for key, tensor in named_tensors(self.model):
            owner = owners.setdefault(id(tensor), key)
            if owner != key:
                self.found.aliases[key] = owner
            elif tensor.is_floating_point():
                shape = tensor.shape
                self._labels[tensor] = tuple(
                    self.atoms.new_axis(key, dim, size) if size > 1 else None for dim, size in enumerate(shape)
                )
                self._live[tensor] = True
                self._origin[tensor] = key

    # What rules ask and tell

    def labels(self, tensor: Any) -> Labels:
        """Labels of a tensor; a tensor of constants has none."""
        known = self._labels.get(tensor) if isinstance(tensor, torch.Tensor) else None
        return known if known is not None else (None,) * (tensor.dim() if isinstance(tensor, torch.Tensor) else 0)

    def origin(self, tensor: Any) -> str | None:
        """``state_dict`` key of the only parameter a tensor is computed from, if it is computed from nothing else."""
        return self._origin.get(tensor) if isinstance(tensor, torch.Tensor) else None

    def depends_on_inputs(self, tensor: torch.Tensor) -> bool:
        """Whether the values of a tensor change with the inputs."""
        return tensor in self._given

    def weight_of(self, *operands: Any) -> int | None:
        """Which operand of a product is the weight: the parameter of the module that runs, else any parameter."""
        keys = [self.origin(operand) for operand in operands]
        known = [place for place, key in enumerate(keys) if key is not None]
        own = [place for place in known if str(keys[place]).rpartition(".")[0] == self.path[-1]]
        return own[-1] if own else known[-1] if known else None

    @property
    def module(self) -> nn.Module:
        """The innermost module that runs."""
        running: nn.Module = self._modules[self.path[-1]]
        return running

    @property
    def place(self) -> str:
        """Its name, for people."""
        return self.path[-1] or "the network"

    def option(self, kind: str, label: IntArray, options: int, first: int) -> int:
        """Which of several ways to cut is taken here; the choice is noted under a name that like places share."""
        site = f"{type(self.module).__name__}:{kind}"
        chosen = self._chosen.get(site, first)
        self.found.choices.setdefault(site, []).append(Choice(options, chosen, label))
        return chosen

    def shape_of(self, key: str) -> torch.Size:
        """Shape of a parameter or buffer."""
        return tensor_named(self.model, key).shape

    def owners(self, key: str | None) -> dict[str, nn.Module]:
        """Modules that hold a parameter, by any name; the running one where there is no such parameter."""
        names = [key, *(alias for alias, first in self.found.aliases.items() if first == key)]
        held = [self.path[-1] if name is None else name.rpartition(".")[0] for name in names]
        return {name: self._modules[name] for name in held if name in self._modules}

    def size(self, attribute: str, label: Label, owner: str | None = None) -> None:
        """An attribute of a module (the running one) repeats the number of channels along ``label``."""
        name = self.path[-1] if owner is None else owner
        held = getattr(self._modules[name], attribute, None)
        if label is not None and held is not None:
            index = 0 if isinstance(held, tuple | list) else None
            self.found.sizes.append(Size(name, attribute, label, True, index))

    def guess_sizes(self, value: int, label: IntArray, avoid: tuple[str, ...] = ()) -> None:
        """Attributes of the running module that hold ``value`` may repeat the number of channels along ``label``."""
        for name, held in vars(self.module).items():
            if isinstance(self.module, nn.MultiheadAttention) and name != "num_heads":
                continue
            number = isinstance(held, int) and not isinstance(held, bool) and held == value > 1
            if number and not any(word in name for word in avoid):
                self.found.sizes.append(Size(self.path[-1], name, label, False))

    def guess_lists(self, labels: Sequence[IntArray]) -> None:
        """Lists among the attributes of the running module that hold the lengths of these labels may follow them."""
        lengths = [len(label) for label in labels]
        for name, held in vars(self.module).items():
            if isinstance(held, tuple | list) and list(held) == lengths:
                for index, label in enumerate(labels):
                    self.found.sizes.append(Size(self.path[-1], name, label, False, index))

    def renormalizes(self, label: Label) -> None:
        """A statistic is taken over these channels, so it changes when some of them go."""
        if label is not None:
            self.found.renormalized.append((self.place, label))

    def first_state(self, *sizes: int) -> tuple[IntArray, ...]:
        """Atoms for the states a recurrent module starts from, the same at every call."""
        name = self.path[-1]
        if name not in self._initial:
            self._initial[name] = tuple(self.atoms.fresh(size) for size in sizes)
        return self._initial[name]

    def set_labels(self, tensor: torch.Tensor, labels: Labels) -> None:
        self._labels[tensor] = labels

    def fix_if_used(self, tensor: torch.Tensor, label: Label, reason: str) -> None:
        """Some networks take a piece of a tensor for its shape only: fix its channels when the piece is used."""
        if label is not None:
            self._pending[tensor] = (label, reason)

    def left(self, module: str, output: Any) -> None:
        """A module has answered; subclasses may look at it."""

    # The run

    def execute(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation; subclasses may change what it computes."""
        return func(*args, **kwargs)

    def follow(self, func: Any, call: Call) -> None:
        """Label the outputs of an operation."""
        from rlprune.networks.tracing import rules

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
        from rlprune.networks.tracing import recurrent

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
            yield
        finally:
            for handle in handles:
                handle.remove()
            self.path[1:] = []


def decides(module: str) -> str:
    """Why nothing inside a module is followed."""
    return f"{module or 'the network'} decides on the values it computes which of its layers it uses"


def named_tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """All parameters and buffers by ``state_dict`` key, shared ones under each of their names."""
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]


def tensor_named(model: nn.Module, key: str) -> torch.Tensor:
    """A parameter or buffer of a model, also one that its ``state_dict`` leaves out."""
    module, _, name = key.rpartition(".")
    tensor = getattr(model.get_submodule(module), name)
    assert isinstance(tensor, torch.Tensor)
    return tensor


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


Rule = Callable[[Tracer, Call], Labels | list[Labels]]
