"""Finds the layers and couplings of a model, and takes the better way where there are several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.errors import NetworkError, first_line
from rlprune.networks.couplings import Coupling, find_couplings, sizes_by_name
from rlprune.networks.groups import Group
from rlprune.networks.inputs import Inputs, tensors_in
from rlprune.networks.layers import LabelledLayer, describe_layers
from rlprune.networks.outputs import Pick
from rlprune.networks.record import Attribute
from rlprune.networks.tracing.attributes import repeated_sizes
from rlprune.networks.tracing.records import Trace
from rlprune.networks.tracing.tracer import Tracer


@dataclass(frozen=True, eq=False)
class Discovery:
    """What one trace of a model showed.

    Attributes:
        trace: all that was noted.
        layers: in forward order.
        couplings: sets of channels that go together.
        roots: for each atom, the atom it is joined with.
        taken: site -> the way to cut that was asked for there instead of the usual one.
        opaque: modules that were not followed.
    """

    trace: Trace
    layers: tuple[LabelledLayer, ...]
    couplings: tuple[Coupling, ...]
    roots: IntArray
    taken: Mapping[str, int]
    opaque: frozenset[str]

    @property
    def removable(self) -> int:
        """Number of places in weights that hold channels which nothing forbids to remove."""
        free = [coupling for coupling in self.couplings if not coupling.obstacle and coupling.width > 1]
        return sum(member.slots.numel() for coupling in free for member in coupling.members)

    def alternatives(self, roots: IntArray) -> list[dict[str, int]]:
        """What else could be taken at places that touch the channels with these roots."""
        found = []
        for site, forks in self.trace.forks.items():
            touched = any(np.isin(self.roots[fork.label[fork.label >= 0]], roots).any() for fork in forks)
            options = range(forks[0].options) if touched and site not in self.taken else ()
            found += [{**self.taken, site: option} for option in options if option != forks[0].taken]
        return found

    def attributes_of(self, groups: Sequence[Group]) -> tuple[Attribute, ...]:
        """Sizes that stand in modules and follow the widths of these groups."""
        sizes = self.trace.sizes
        by_root = {int(coupling.roots[0]): coupling for coupling in self.couplings}
        owners = [(group, by_root[int(group.roots[0])]) for group in groups]
        result = []
        for (module, name, entry), indices in sizes_by_name(sizes).items():
            index = indices[0]
            slopes = {group.name: coupling.sizes[index] for group, coupling in owners if index in coupling.sizes}
            if slopes:
                result.append(Attribute(module, name, len(sizes[index].label), slopes, sizes[index].certain, entry))
        return tuple(result)


def discover(
    model: nn.Module, inputs: Inputs, outputs: Pick, taken: Mapping[str, int] | None = None,
    opaque: frozenset[str] = frozenset(), ties: Sequence[tuple[IntArray, IntArray]] = (),
) -> Discovery:  # fmt: skip
    """Trace a model once; a second time where a module decides on values and has layers that were not used.

    Raises:
        NetworkError: the model cannot take these inputs, or answers with NaN or no tensor.
    """
    tracer = Tracer(model, inputs, taken, opaque, outputs)
    try:
        output = tracer.run()
    except NetworkError:
        raise
    except Exception as reason:
        raise NetworkError(
            f"The network must accept its example inputs ({_shapes(inputs)}); its forward failed"
            f"{f' in {tracer.failed_in}' if tracer.failed_in else ''}: {first_line(reason)}. "
            "Give inputs that it takes."
        ) from reason
    _refuse_bad_output(output, outputs)
    trace = tracer.found
    if not opaque and (untold := _untold(trace, model)):
        return discover(model, inputs, outputs, taken, untold, ties)
    for left, right in ties:
        trace.atoms.join(left, right, "its size is read off that of channels that cannot be removed")
    trace.sizes += repeated_sizes(trace, model)
    layers = tuple(describe_layers(trace, model))
    return Discovery(
        trace, layers, tuple(find_couplings(trace, layers)), trace.atoms.roots(), dict(taken or {}), opaque
    )


def _untold(trace: Trace, model: nn.Module) -> frozenset[str]:
    """Modules that decide on the values they compute and did not use all of their layers: others may come next time."""
    unused = [f".{key}" for key, _ in model.named_parameters() if key not in trace.first_use]
    inside = {name: f".{name}." if name else "." for name in trace.deciding}
    return frozenset(name for name, prefix in inside.items() if any(key.startswith(prefix) for key in unused))


def explore(model: nn.Module, inputs: Inputs, outputs: Pick) -> Discovery:
    """The same, with another way to cut wherever the usual one leaves nothing to remove."""
    best = discover(model, inputs, outputs)
    while True:
        dead = {site: made[0] for site, made in best.trace.forks.items() if _is_dead(best, site)}
        others = [
            discover(model, inputs, outputs, {**best.taken, site: option}, best.opaque)
            for site, fork in dead.items()
            for option in range(fork.options)
            if site not in best.taken and option != fork.taken
        ]
        better = max(others, key=lambda other: other.removable, default=best)
        if better.removable <= best.removable:
            return best
        best = better


def _is_dead(found: Discovery, site: str) -> bool:
    fixed = np.array(sorted(found.trace.atoms.fixed(found.roots)), dtype=np.int64)
    labels = [fork.label[fork.label >= 0] for fork in found.trace.forks.get(site, [])]
    return any(len(label) and np.isin(found.roots[label], fixed).all() for label in labels)


def _shapes(inputs: Inputs) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors_in(inputs)) or "no tensors"


def _refuse_bad_output(output: object, pick: Pick) -> None:
    outputs = list(tensors_in(pick(output)))
    if not outputs:
        raise NetworkError(f"The network must answer with tensors; it returned {type(output).__name__}.")
    if any(tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()) for tensor in outputs):
        raise NetworkError(
            "The network's outputs must be finite; NaN or infinity came out for the example inputs. Check its weights, "
            "and these inputs."
        )
