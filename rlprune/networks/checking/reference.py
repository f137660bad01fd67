"""The dense network in which removed channels count for nothing: what a pruned network is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rlprune.arrays import BoolArray, IntArray
from rlprune.networks.groups import Group
from rlprune.networks.inputs import Inputs, tensors_in
from rlprune.networks.record import NetworkRecord
from rlprune.networks.tracing.atoms import Labels
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.rules.reductions import OVER_WHAT_IS_LEFT, reduced_dims
from rlprune.networks.tracing.tracer import Tracer

CONTRACTIONS = {
    **dict.fromkeys(("mm", "bmm", "matmul", "_grouped_mm"), ((0, -1), (1, -2))),
    **dict.fromkeys(("addmm", "baddbmm"), ((1, -1), (2, -2))),
    **dict.fromkeys(("mv", "dot"), ((0, -1), (1, -1))),
    "addmv": ((1, -1), (2, -1)),
    "linear": ((0, -1),),
    "convolution": ((0, 1),),
}
"""Which dimensions of which arguments an operation sums over."""


class Cut:
    """Which channels of some groups stay, and in what order.

    Args:
        roots: for each atom, the atom it is joined with.
        groups: those that are cut.
        kept: group name -> channels that stay, in their new order.
    """

    def __init__(self, roots: IntArray, groups: Sequence[Group], kept: Mapping[str, torch.Tensor]) -> None:
        self._roots = roots
        self._moved = np.arange(len(roots))
        self._gone = np.zeros(len(roots), dtype=bool)
        self._beyond = np.zeros(len(roots), dtype=bool)
        for group in groups:
            stays = kept[group.name].numpy()
            self._gone[np.delete(group.roots, stays)] = True
            self._beyond[group.roots[len(stays) :]] = True
            self._moved[group.roots[: len(stays)]] = group.roots[stays]

    def removed(self, label: IntArray) -> BoolArray:
        """Whether each position of a label goes."""
        return (label >= 0) & self._gone[self._roots[label]]

    def of(self, tensor: torch.Tensor, labels: Labels) -> torch.Tensor | None:
        """A tensor of the dense network as the pruned one has it; None where that cannot be told."""
        tensor = tensor.detach().clone()
        for dim, label in enumerate(labels):
            if label is not None:
                source = self._source(label)
                if source is None:
                    return None
                tensor = tensor.index_select(dim, torch.from_numpy(source).to(tensor.device))
        return tensor

    def _source(self, label: IntArray) -> IntArray | None:
        """For each position that is left, where it comes from: the same place of the channel that moved there."""
        roots = np.where(label >= 0, self._roots[label], -1 - np.arange(len(label)))
        left = np.flatnonzero((roots < 0) | ~self._beyond[roots])
        order = np.argsort(roots, kind="stable")
        first = np.searchsorted(roots[order], roots)
        rank = np.empty(len(label), dtype=np.int64)
        rank[order] = np.arange(len(label)) - first[order]
        wanted = np.where(roots[left] >= 0, self._moved[roots[left]], roots[left])
        place = np.searchsorted(roots[order], wanted) + rank[left]
        if (place >= len(label)).any() or (roots[order[place]] != wanted).any():
            return None
        found: IntArray = order[place]
        return found


class Reference(Tracer):
    """The dense network, in which what mixes channels ignores the removed ones.

    Args:
        network: the dense one.
        inputs: what it runs on.
        cut: which channels are removed.

    Attributes:
        outputs_of: (module, number of its call) -> its outputs as the pruned network must make them.
    """

    def __init__(self, network: NetworkRecord, inputs: Inputs, cut: Cut) -> None:
        super().__init__(network.model, inputs, network.taken, network.opaque)
        self._cut = cut
        self._calls: Counter[str] = Counter()
        self._parents = {name.rpartition(".")[0] for name, _ in network.model.named_modules() if name}
        self.outputs_of: dict[tuple[str, int], list[torch.Tensor | None]] = {}

    def left(self, module: str, output: Any) -> None:
        if module in self._parents:
            return  # what its children answer is compared
        self._calls[module] += 1
        wanted = [self._cut.of(tensor, self.labels(tensor)) for tensor in tensors_in(output)]
        self.outputs_of[(module, self._calls[module])] = wanted

    def _kept(self, tensor: torch.Tensor, dim: int) -> torch.Tensor | None:
        """Positions that stay along a dimension, or None where all do."""
        label = self.labels(tensor)[dim]
        if label is None:
            return None
        gone = self._cut.removed(label)
        return torch.from_numpy(np.flatnonzero(~gone)).to(tensor.device) if gone.any() else None

    def _masked(self, tensor: torch.Tensor, dim: int) -> torch.Tensor:
        kept = self._kept(tensor, dim)
        if kept is None:
            return tensor
        return torch.zeros_like(tensor).index_copy_(dim, kept, tensor.index_select(dim, kept))

    def execute(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name in CONTRACTIONS:
            changed = list(args)
            for place, dim in CONTRACTIONS[name]:
                changed[place] = self._masked(args[place], dim)
            return func(*changed, **kwargs)
        if name in OVER_WHAT_IS_LEFT and not (len(args) > 1 and isinstance(args[1], torch.Tensor)):
            return func(self._left_over(Call(name, args, kwargs, None)), *args[1:], **kwargs)
        if name in ("native_layer_norm", "_fused_rms_norm", "rms_norm"):
            return self._normalize_layer(func, args, kwargs)
        if name == "native_group_norm":
            return self._normalize_groups(func, args)
        return func(*args, **kwargs)

    def _left_over(self, reduction: Call) -> torch.Tensor:
        x: torch.Tensor = reduction.args[0]
        for dim in reduced_dims(reduction):
            kept = self._kept(reduction.args[0], dim)
            x = x if kept is None else x.index_select(dim, kept)
        return x

    def _normalize_layer(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x, shape = args[0], args[1]
        kept = self._kept(x, -1) if len(shape) == 1 else None
        if kept is None:
            return func(*args, **kwargs)
        parameters = [p.index_select(0, kept) if isinstance(p, torch.Tensor) else p for p in args[2:4]]
        result = func(x.index_select(-1, kept), [len(kept)], *parameters, *args[4:], **kwargs)
        first = result[0] if isinstance(result, tuple) else result
        full = torch.zeros_like(x).index_copy_(-1, kept, first)
        return (full, *result[1:]) if isinstance(result, tuple) else full

    def _normalize_groups(self, func: Any, args: tuple[Any, ...]) -> Any:
        x, weight, bias, batch, channels, positions, groups, eps = args
        kept = self._kept(x, 1)
        if kept is None:
            return func(*args)
        counts = torch.bincount(kept // (channels // groups), minlength=groups)
        if int(counts.min()) == 0:
            return func(*args)  # whole groups go; the others keep their statistics
        parameters = [None if p is None else p.index_select(0, kept) for p in (weight, bias)]
        first, *rest = func(x.index_select(1, kept), *parameters, batch, len(kept), positions, groups, eps)
        return (torch.zeros_like(x).index_copy_(1, kept, first), *rest)
