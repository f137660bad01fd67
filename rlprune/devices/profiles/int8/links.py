"""Which values layers in int8 hand each other without leaving int8.

ONNX Runtime keeps int8 between two layers where nothing but a BatchNorm (folded), a ReLU or Clip, pooling by the
largest or a reshape lies between them; and it adds two int8 tensors in int8. All else is computed in float. Links are
found by one forward pass in torch, without an export.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from rlprune.networks.inputs import as_inputs, call, tensors_in
from rlprune.networks.network import Network
from rlprune.pruning.quantization import int8_layers

FLOAT = -1
"""The end of a link at what is never in int8."""
PASSING = frozenset({"relu", "hardtanh", "clamp", "clamp_min", "max_pool1d", "max_pool2d", "max_pool3d"}) | frozenset(
    {"max_pool2d_with_indices", "max_pool3d_with_indices", "view", "_unsafe_view", "reshape", "squeeze", "unsqueeze"}
)
"""Operations that leave a value in int8 where it is in int8; their forms in place too."""


class Link(NamedTuple):
    """One node reads what another answers; where one is in int8 and the other is not, the value is converted.

    Attributes:
        ends: nodes, or ``FLOAT``.
        layer: its elements are those of the value: what it answers, or else what it reads.
        answered: which of both.
    """

    ends: tuple[int, int]
    layer: str
    answered: bool


@dataclass(frozen=True)
class Int8Links:
    """What may be in int8, and how it hangs together.

    Attributes:
        nodes: in the order in which they run: names of layers, and None for sums, which are in int8 where that costs
            least.
        links: between them.
    """

    nodes: tuple[str | None, ...]
    links: tuple[Link, ...]


def find_links(network: Network) -> Int8Links:
    """The links between all layers of :func:`rlprune.pruning.quantization.int8_layers`."""
    follower, layers = _Follower(), int8_layers(network)
    model = network.model
    with _watched(model, layers, follower), torch.no_grad(), follower:
        answer = call(model, as_inputs(network.example_inputs))
    for tensor in tensors_in(answer):
        follower.end(tensor)
    links = _without_sums_read_in_float(follower.nodes, follower.links)
    return Int8Links(tuple(follower.nodes), tuple(link for link in links if link.ends[0] != link.ends[1]))


def _without_sums_read_in_float(nodes: list[str | None], links: list[Link]) -> list[Link]:
    """A sum that no layer reads is computed in float; so is a sum that only such sums read."""
    readers: list[set[int]] = [{link.ends[1] for link in links if link.ends[0] == node} for node in range(len(nodes))]
    in_float = {FLOAT}
    for node in reversed(range(len(nodes))):
        if nodes[node] is None and readers[node] <= in_float:
            in_float.add(node)
    there = {node: FLOAT if node in in_float else node for node in range(FLOAT, len(nodes))}
    return [link._replace(ends=(there[link.ends[0]], there[link.ends[1]])) for link in links]


@dataclass(frozen=True)
class _Value:
    """Where a tensor comes from: the nodes that answered with it.

    Attributes:
        node: of the layer or sum.
        layer: one that answers as many elements.
        fresh: nothing was done to it since.
    """

    node: int
    layer: str
    fresh: bool = True


class _Follower(TorchDispatchMode):
    """Follows what layers answer until something computes with it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[str | None] = []
        self.links: list[Link] = []
        self._values = WeakTensorKeyDictionary()
        self._in_layer = False

    def enter(self, name: str, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note what a layer reads as it is called."""
        if name not in self.nodes:
            self.nodes.append(name)
        node, value = self.nodes.index(name), self._values.get(next(tensors_in((args, kwargs))))
        link = Link((FLOAT, node), name, answered=False) if value is None else self._from(value, node)
        self.links.append(link)
        self._in_layer = True

    def leave(self, name: str, module: nn.Module, _args: tuple[Any, ...], answer: Tensor) -> None:
        """Note what a layer answers; a linear layer on sequences adds its bias in float."""
        self._in_layer = False
        self._values[answer] = _Value(self.nodes.index(name), name)
        if isinstance(module, nn.Linear) and module.bias is not None and answer.dim() != 2:
            self.end(answer)
            del self._values[answer]

    def end(self, tensor: Tensor) -> None:
        """Something reads a tensor in float."""
        value = self._values.get(tensor)
        if value is not None:
            self.links.append(self._from(value, FLOAT))

    @staticmethod
    def _from(value: _Value, reader: int) -> Link:
        return Link((value.node, reader), value.layer, answered=True)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self._in_layer:
            read = list(tensors_in((args, kwargs or {})))
            values = [self._values.get(tensor) for tensor in read]
            if any(value is not None for value in values):
                self._follow(func.overloadpacket.__name__.rstrip("_"), read, values, result)
        return result

    def _follow(self, name: str, read: list[Tensor], values: list[_Value | None], result: Any) -> None:
        passed = self._passed(name, read, values)
        if passed is None:
            for tensor in read:
                self.end(tensor)
        answer = next(tensors_in(result), None)
        if answer is not None and passed is not None:
            self._values[answer] = passed
        elif answer is not None:
            self._values.pop(answer, None)

    def _passed(self, name: str, read: list[Tensor], values: list[_Value | None]) -> _Value | None:
        """What an operation answers, if it can be in int8."""
        first = values[0]
        if first is None:
            return None
        if name in PASSING or ("batch_norm" in name and first.fresh):
            return replace(first, fresh=False)
        second = values[1] if len(values) == 2 else None
        if name == "add" and second is not None and read[0].shape == read[1].shape:
            self.nodes.append(None)
            node = len(self.nodes) - 1
            self.links += [self._from(first, node), self._from(second, node)]
            return _Value(node, first.layer, fresh=False)
        return None


@contextmanager
def _watched(model: nn.Module, layers: tuple[str, ...], follower: _Follower) -> Iterator[None]:
    modules = {name: model.get_submodule(name) for name in layers}
    hooks = [m.register_forward_pre_hook(partial(follower.enter, n), with_kwargs=True) for n, m in modules.items()]
    hooks += [module.register_forward_hook(partial(follower.leave, name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
