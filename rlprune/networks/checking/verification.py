"""Shows that pruning a set of groups is right, instead of assuming it because forward runs.

A pruned network must equal the dense one in which every operation that mixes channels ignores the removed ones:
products see zeros in their place, and means and normalisations are taken over what is left. That holds for what each
module answers, not only for the network's output, which may tell little. It fails wherever labels were followed
wrongly, a size stands in the network's code, or an operation mixes channels in a way no rule knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from rlprune.errors import first_line
from rlprune.networks import surgery
from rlprune.networks.checking.reference import Cut, Reference
from rlprune.networks.contexts import hooked
from rlprune.networks.groups import Group
from rlprune.networks.inputs import Inputs, call, telling, tensors_in
from rlprune.networks.record import NetworkRecord

TOLERANCE = {torch.float64: 1e-5}  # some networks cast to float32 on the way
USUAL_TOLERANCE = 1e-3
Wanted = Mapping[tuple[str, int], list[torch.Tensor | None]]


def disagreement(network: NetworkRecord, groups: Sequence[Group], seed: int = 0) -> str | None:
    """Why pruning ``groups`` gives a wrong network, or None where it is right.

    Each group is cut to a random allowed width, then to its smallest or not at all, then all to their smallest: sizes
    that the code derives from one another would stay right if all kept the same ratio. Then each loses as little as it
    can: what depends on the width may look alike where one or two channels are left. What stays comes in another order,
    as the tables of pruned weights want it.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = telling_inputs(network, seed)
    orders = {group.name: torch.randperm(group.width, generator=generator) for group in groups}
    some = {g.name: orders[g.name][: _one_of(g.widths[:-1] or g.widths, generator)] for g in groups}
    others = {g.name: orders[g.name][: _one_of((g.widths[0], g.width), generator)] for g in groups}
    fewest = {g.name: orders[g.name][-g.widths[0] :] for g in groups}
    common = Counter(width for g in groups for width in g.widths).most_common(1)[0][0]
    alike = {g.name: orders[g.name][: common if common in g.widths else g.widths[0]] for g in groups}
    most = {g.name: orders[g.name][: g.widths[-2:][0]] for g in groups}
    cuts = (some, others, fewest, alike, most)
    return next((why for kept in cuts if (why := _cut_wrongly(network, groups, kept, inputs))), None)


def plan_is_wrong(network: NetworkRecord, widths: npt.ArrayLike) -> str | None:
    """Why the plan with these widths (``[G]``) gives a wrong network, or None where it is right.

    Groups are checked at some widths when a network is taken; code that compares sizes with each other may still behave
    otherwise at those of one plan.
    """
    return _cut_wrongly(
        network, network.groups, surgery.leading_channels(network, widths), telling_inputs(network, seed=0)
    )


def telling_inputs(network: NetworkRecord, seed: int) -> Inputs:
    """Inputs without constants, where the network takes them and answers with numbers; else the example inputs."""
    inputs = telling(network.example_inputs, seed)
    try:
        with torch.no_grad():
            answer = list(tensors_in(network.outputs(call(network.model, inputs))))
    except Exception:
        return network.example_inputs
    finite = all(bool(torch.isfinite(x).all()) for x in answer if x.is_floating_point())
    return inputs if finite else network.example_inputs


def _one_of(widths: Sequence[int], generator: torch.Generator) -> int:
    return widths[int(torch.randint(len(widths), (), generator=generator))]


def _cut_wrongly(
    network: NetworkRecord, groups: Sequence[Group], kept: Mapping[str, torch.Tensor], inputs: Inputs
) -> str | None:
    reference = Reference(network, inputs, Cut(network.atom_roots, groups, kept))
    differences: list[str] = []
    try:
        wanted = list(tensors_in(network.outputs(reference.run())))
        pruned = surgery.prune(network, kept).eval()
        with torch.no_grad(), _compared(pruned, reference.outputs_of, differences):
            got = list(tensors_in(network.outputs(call(pruned, inputs))))
    except Exception as error:
        return f"the pruned network fails: {first_line(error)}"
    if differences:
        return differences[0]
    return _difference(got, wanted) if len(got) == len(wanted) else "pruning changes the number of outputs"


def _compared(pruned: nn.Module, wanted: Wanted, differences: list[str]) -> AbstractContextManager[None]:
    """Note where a module of the pruned network answers something else than the reference."""
    calls: Counter[str] = Counter()

    def watch(name: str, module: nn.Module) -> Any:
        def compare(module: nn.Module, arguments: Any, output: Any) -> None:
            calls[name] += 1
            expected = wanted.get((name, calls[name]))
            got = list(tensors_in(output))
            if expected is not None and len(expected) == len(got) and _difference(got, expected) is not None:
                differences.append(f"{name or 'the network'} mixes its channels")

        return module.register_forward_hook(compare)

    return hooked(watch(name, module) for name, module in pruned.named_modules())


def _difference(got: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor | None]) -> str | None:
    for left, right in zip(got, wanted, strict=True):
        if right is None:
            continue
        if left.shape != right.shape:
            return "pruning changes the shape of the output"
        if right.numel() > 0 and left.is_floating_point() and differ(left, right):
            return "an operation mixes its channels"
    return None


def differ(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether tensors differ by more than rounding; infinities and NaN must stand in the same places."""
    error, scale = (left - right).abs_().max(), right.abs().max()
    if not bool(torch.isfinite(error + scale)):
        finite = torch.isfinite(right)
        if not torch.equal(finite, torch.isfinite(left)):
            return True
        left, right = left.where(finite, 0), right.where(finite, 0)
        error, scale = (left - right).abs_().max(), right.abs().max()
    return float(error) > TOLERANCE.get(left.dtype, USUAL_TOLERANCE) * (float(scale) or 1.0)
