"""What the rules of operations ask and tell while a network is traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from rlprune.arrays import IntArray
from rlprune.networks.tensors import named_tensors, tensor_named
from rlprune.networks.tracing.atoms import Label, Labels
from rlprune.networks.tracing.records import Call, Fork, Size, Trace


class Labelling:
    """Labels of all tensors that came up so far, the module that runs, and the notes that are taken.

    Args:
        model: that is traced.
        batch: number of samples that it runs on.
        taken: site -> way to cut that is taken there instead of the usual one.

    Attributes:
        found: the notes.
        atoms: of the notes.
        path: names of the modules that run, the innermost last.
    """

    def __init__(self, model: nn.Module, batch: int, taken: Mapping[str, int]) -> None:
        self.model = model
        self.batch = batch
        self.found = Trace()
        self.atoms = self.found.atoms
        self.path: list[str] = [""]
        self._taken = taken
        self._labels = WeakTensorKeyDictionary()
        self._origin = WeakTensorKeyDictionary()
        self._given = WeakTensorKeyDictionary()
        self._pending = WeakTensorKeyDictionary()
        self._initial: dict[str, tuple[IntArray, ...]] = {}
        self._modules = dict(model.named_modules())
        self._label_parameters()

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
                self._origin[tensor] = key

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
        """Which of several ways to cut is taken here; it is noted under a name that like places share."""
        site = f"{type(self.module).__name__}:{kind}"
        taken = self._taken.get(site, first)
        self.found.forks.setdefault(site, []).append(Fork(options, taken, label))
        return taken

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


Rule = Callable[[Labelling, Call], Labels | list[Labels]]
"""Labels the outputs of one operation."""
