"""Shows that pruning a set of groups is right, instead of assuming it because forward runs.

A pruned network must equal the dense one in which every operation that mixes channels ignores the removed ones:
products see zeros in their place, and means and normalisations are taken over what is left. That fails wherever labels
were followed wrongly, a size stands in the network's code, or an operation mixes channels in a way no rule knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune.inputs import Inputs, call, telling, tensors_in
from rlprune.pruning import surgery
from rlprune.tracing.atoms import Label
from rlprune.tracing.records import Call
from rlprune.tracing.rules.reductions import OVER_WHAT_IS_LEFT, reduced_dims
from rlprune.tracing.tracer import Tracer

if TYPE_CHECKING:
    from rlprune.network import Group, Network

TOLERANCE = {torch.float64: 1e-6}
USUAL_TOLERANCE = 1e-3
CONTRACTIONS = {
    **dict.fromkeys(("mm", "bmm", "matmul", "_grouped_mm"), ((0, -1), (1, -2))),
    **dict.fromkeys(("addmm", "baddbmm"), ((1, -1), (2, -2))),
    **dict.fromkeys(("mv", "dot"), ((0, -1), (1, -1))),
    "addmv": ((1, -1), (2, -1)),
    "linear": ((0, -1),),
    "convolution": ((0, 1),),
}
"""Which dimensions of which arguments an operation sums over."""


def disagreement(network: Network, groups: Sequence[Group], seed: int = 0) -> str | None:
    """Why pruning ``groups`` gives a wrong network, or None where it is right.

    Each group is cut to a random allowed width, then to its smallest or not at all, then all to their smallest: sizes
    that the code derives from one another would stay right if all kept the same ratio. What stays comes in another
    order, as the tables of pruned weights want it.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = telling(network.example_inputs, seed)
    orders = {group.name: torch.randperm(group.width, generator=generator) for group in groups}
    some = {g.name: orders[g.name][: _one_of(g.widths[:-1] or g.widths, generator)] for g in groups}
    others = {g.name: orders[g.name][: _one_of((g.widths[0], g.width), generator)] for g in groups}
    fewest = {g.name: orders[g.name][-g.widths[0] :] for g in groups}
    return next((why for kept in (some, others, fewest) if (why := _cut_wrongly(network, groups, kept, inputs))), None)


def _one_of(widths: Sequence[int], generator: torch.Generator) -> int:
    return widths[int(torch.randint(len(widths), (), generator=generator))]


def _cut_wrongly(
    network: Network, groups: Sequence[Group], kept: Mapping[str, torch.Tensor], inputs: Inputs
) -> str | None:
    try:
        with torch.no_grad():
            got = list(tensors_in(network.outputs(call(surgery.prune(network, kept).eval(), inputs))))
    except Exception as error:
        return f"the pruned network fails: {_first_line(error)}"
    wanted = network.reference(inputs, removed_atoms(network, groups, kept))
    return _difference(got, list(tensors_in(network.outputs(wanted))))


def _first_line(reason: Exception) -> str:
    return (str(reason).splitlines() or [type(reason).__name__])[0]


def _difference(got: list[torch.Tensor], wanted: list[torch.Tensor]) -> str | None:
    for left, right in zip(got, wanted, strict=True):
        if left.shape != right.shape:
            return "pruning changes the shape of the output"
        if right.numel() == 0:
            continue
        scale = float(right.abs().max()) or 1.0
        error = float((left - right).abs().max()) if left.is_floating_point() else 0.0
        if not error <= TOLERANCE.get(left.dtype, USUAL_TOLERANCE) * scale:  # NaN is no match
            return "an operation mixes its channels"
    return None


def removed_atoms(
    network: Network, groups: Sequence[Group], channels: Mapping[str, torch.Tensor]
) -> npt.NDArray[np.bool_]:
    """For each atom of the network's trace, whether its channel is removed."""
    removed = np.zeros(len(network.atom_roots), dtype=bool)
    for group in groups:
        gone = np.ones(group.width, dtype=bool)
        gone[channels[group.name].numpy()] = False
        removed[group.roots[gone]] = True
    return removed[network.atom_roots]


class Reference(Tracer):
    """The dense network, in which what mixes channels ignores the removed ones.

    Args:
        removed: for each atom, whether it is removed.
    """

    def __init__(
        self, model: nn.Module, inputs: Inputs, removed: npt.NDArray[np.bool_], choices: Mapping[str, int],
        opaque: set[str],
    ) -> None:  # fmt: skip
        super().__init__(model, inputs, choices, opaque)
        self._removed = removed

    def _kept(self, label: Label) -> torch.Tensor | None:
        """Positions that stay, or None where all do."""
        if label is None:
            return None
        gone = (label >= 0) & self._removed[label]
        return torch.from_numpy(np.flatnonzero(~gone)) if gone.any() else None

    def _masked(self, tensor: torch.Tensor, dim: int) -> torch.Tensor:
        kept = self._kept(self.labels(tensor)[dim])
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
            kept = self._kept(self.labels(reduction.args[0])[dim])
            x = x if kept is None else x.index_select(dim, kept)
        return x

    def _normalize_layer(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x, shape = args[0], args[1]
        kept = self._kept(self.labels(x)[-1]) if len(shape) == 1 else None
        if kept is None:
            return func(*args, **kwargs)
        parameters = [p.index_select(0, kept) if isinstance(p, torch.Tensor) else p for p in args[2:4]]
        result = func(x.index_select(-1, kept), [len(kept)], *parameters, *args[4:], **kwargs)
        first = result[0] if isinstance(result, tuple) else result
        full = torch.zeros_like(x).index_copy_(-1, kept, first)
        return (full, *result[1:]) if isinstance(result, tuple) else full

    def _normalize_groups(self, func: Any, args: tuple[Any, ...]) -> Any:
        x, weight, bias, batch, channels, positions, groups, eps = args
        kept = self._kept(self.labels(x)[1])
        if kept is None:
            return func(*args)
        counts = torch.bincount(kept // (channels // groups), minlength=groups)
        if int(counts.min()) == 0:
            return func(*args)  # whole groups go; the others keep their statistics
        parameters = [None if p is None else p.index_select(0, kept) for p in (weight, bias)]
        first, *rest = func(x.index_select(1, kept), *parameters, batch, len(kept), positions, groups, eps)
        return (torch.zeros_like(x).index_copy_(1, kept, first), *rest)
