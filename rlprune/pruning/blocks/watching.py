"""Watches what modules are given and what they answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rlprune.networks.contexts import hooked
from rlprune.networks.inputs import Inputs, call


@dataclass(frozen=True, eq=False)
class Moment:
    """A tensor as it was at some time; later operations may change it in place."""

    tensor: torch.Tensor
    version: int
    shape: torch.Size

    @classmethod
    def now(cls, tensor: torch.Tensor) -> Moment:
        """The tensor as it is."""
        return cls(tensor, tensor._version, tensor.shape)

    def same(self, other: Moment) -> bool:
        """Whether these are one tensor, unchanged in between."""
        return self.tensor is other.tensor and self.version == other.version


@dataclass(frozen=True, eq=False)
class Seen:
    """One call of a module.

    Attributes:
        takes: position or keyword of its first tensor argument.
        given, answer: that argument, and the tensor it answered with; None where there is none.
        answers: length of the tuple that the answer was the first of; None where it was a tensor.
    """

    takes: int | str
    given: Moment | None
    answer: Moment | None
    answers: int | None

    @property
    def keeps_shape(self) -> bool:
        """Whether it answered with a tensor of the shape and type that it was given."""
        if self.given is None or self.answer is None:
            return False
        return self.given.shape == self.answer.shape and self.given.tensor.dtype == self.answer.tensor.dtype


def watch(model: nn.Module, inputs: Inputs) -> dict[str, list[Seen]]:
    """The calls of every module but ``model`` itself in one forward pass, in the order of their first call."""
    calls: dict[str, list[Seen]] = {}
    started: dict[str, list[tuple[int | str, Moment | None]]] = defaultdict(list)

    def enter(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        calls.setdefault(name, [])
        started[name].append(_first_tensor(args, kwargs))

    def leave(name: str, answer: Any) -> None:
        takes, given = started[name].pop()
        calls[name].append(Seen(takes, given, *_first_answer(answer)))

    handles: list[Any] = []
    for name, module in model.named_modules():
        if name:
            handles.append(
                module.register_forward_pre_hook(lambda m, a, k, name=name: enter(name, a, k), with_kwargs=True)
            )
            handles.append(module.register_forward_hook(lambda m, a, answer, name=name: leave(name, answer)))
    with hooked(handles), torch.no_grad():
        call(model, inputs)
    return calls


def _first_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[int | str, Moment | None]:
    places: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    for place, value in places:
        if isinstance(value, torch.Tensor):
            return place, Moment.now(value)
    return 0, None


def _first_answer(answer: Any) -> tuple[Moment | None, int | None]:
    if isinstance(answer, torch.Tensor):
        return Moment.now(answer), None
    if type(answer) is tuple and answer and isinstance(answer[0], torch.Tensor):
        return Moment.now(answer[0]), len(answer)
    return None, None
