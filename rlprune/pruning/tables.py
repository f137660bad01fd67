"""Prepared tables: the repaired weights of any plan are looked up, not computed.

Once per network: inputs of every consumer are sampled on calibration data, the channels of every group are put in
order of importance, and each consumer is factored (see :mod:`rlprune.pruning.reconstruction`). In the permuted network
every plan keeps leading channels, so its tensors are prefixes of tables and cost no arithmetic.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune import layout
from rlprune.errors import ConfigError, NetworkError, unknown_name
from rlprune.layers import Side, kind_of
from rlprune.network import FloatArray, Group, IntArray, Network
from rlprune.pruning import importance as measures
from rlprune.pruning import reconstruction, surgery
from rlprune.pruning.reconstruction import LayerStatistics, PrefixSolver
from rlprune.tasks.base import Split

IMPORTANCES = ("elimination", "contribution", "l1")
BATCH = 64
ROWS_PER_INPUT = 4
MIN_ROWS, MAX_ROWS = 4096, 32768


@dataclass(frozen=True, eq=False)
class _Axis:
    """The groups that share one side of a layer, and which positions each leaves."""

    groups: tuple[int, ...]
    slots: tuple[torch.Tensor, ...]
    size: int

    def kept(self, widths: tuple[int, ...]) -> torch.Tensor:
        removed = torch.zeros(self.size, dtype=torch.bool)
        for slots, width in zip(self.slots, widths, strict=True):
            removed[slots[:, width:].flatten()] = True
        return (~removed).nonzero().flatten()


class PruningTables:
    """Everything that can be known about pruning a network before any plan is tried.

    Args:
        network: the dense network.
        calibration: samples cut from the training data; never validation or test samples.
        importance: ``elimination`` (default), ``contribution`` or ``l1``; see :mod:`rlprune.pruning.importance`.
        seed: of the positions at which layer inputs are sampled.
        device: where the network runs and the tables are kept.

    Attributes:
        order: group name -> channels, most important first (``int64 [width]``).
        channels_last: whether the network runs with that memory layout, which is faster; its tensors are stored so.
        unrepaired: consumers whose weights are cut without least squares, and why.

    Raises:
        NetworkError: the network cannot take the calibration samples.
    """

    def __init__(
        self,
        network: Network,
        calibration: Split,
        *,
        importance: str = "elimination",
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if importance not in IMPORTANCES:
            raise ConfigError(unknown_name("importance", importance, IMPORTANCES))
        self.network = network
        self.device = torch.device(device)
        self._modules = dict(network.model.named_modules())
        consumers = sorted({name for group in network.groups for name in group.consumers})
        repaired = [name for name in consumers if reconstruction.can_reconstruct(self._modules[name])]
        self.unrepaired = {name: "it is not linear in its inputs" for name in consumers if name not in repaired}
        statistics = self._collect(repaired, calibration, seed)
        self.order = {group.name: self._channel_order(group, statistics, importance) for group in network.groups}
        self._permuted = surgery.prune(network, self.order).eval().requires_grad_(False).to(self.device)
        self.channels_last = self._choose_layout(calibration)
        self._axes = self._find_axes()
        self._statistics = {name: self._permute(name, item) for name, item in statistics.items()}
        self._solvers = {
            name: self._solver(name, None) for name in repaired if len(self._axes[(name, "in")].groups) == 1
        }
        self._curves = {group.name: self._error_curve(group) for group in network.groups}
        self._kept: dict[tuple[str, Side, tuple[int, ...]], int | torch.Tensor] = {}
        self._repaired: dict[tuple[str, tuple[int, ...]], tuple[torch.Tensor, torch.Tensor | None]] = {}
        self._dense = {key: value.detach() for key, value in self._permuted.state_dict().items()}
        self._recipes = list(self._find_recipes())

    def _collect(self, names: list[str], calibration: Split, seed: int) -> dict[str, LayerStatistics]:
        generator = torch.Generator().manual_seed(seed)
        statistics = {name: LayerStatistics(self._modules[name]) for name in names}
        wanted = {name: min(max(ROWS_PER_INPUT * len(s.theta.T), MIN_ROWS), MAX_ROWS) for name, s in statistics.items()}
        model = copy.deepcopy(self.network.model).to(self.device)

        def listen(name: str) -> None:
            per_sample = math.ceil(wanted[name] / len(calibration))

            def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
                rows = reconstruction.sample_rows(module, inputs[0].detach(), per_sample, generator)
                statistics[name].add(rows.cpu())

            dict(model.named_modules())[name].register_forward_pre_hook(hook)

        for name in names:
            listen(name)
        try:
            with torch.no_grad():
                for inputs in batches(calibration, BATCH, self.device):
                    model(*inputs)
        except Exception as reason:
            raise NetworkError(
                f"The network must accept the task's calibration samples; its forward failed: {reason}"
            ) from reason
        return statistics

    def _channel_order(self, group: Group, statistics: dict[str, LayerStatistics], importance: str) -> torch.Tensor:
        readers = [m for m in group.members if m.side == "in" and m.layer in statistics]
        if importance == "l1" or not readers:
            return measures.l1(self.network, group).argsort(descending=True, stable=True)
        normals = [statistics[member.layer].normal(member.slots) for member in readers]
        if importance == "contribution":
            return measures.contribution(normals).argsort(descending=True, stable=True)
        return measures.elimination_order(normals)

    def _choose_layout(self, calibration: Split) -> bool:
        """Store the permuted network with channels last if it runs that way."""
        inputs = next(batches(calibration.take(2), 2, self.device))
        candidate = layout.to_channels_last(copy.deepcopy(self._permuted))
        if layout.runs_channels_last(candidate, inputs):
            self._permuted = candidate
            return True
        return False

    def _find_axes(self) -> dict[tuple[str, Side], _Axis]:
        parts: dict[tuple[str, Side], list[tuple[int, torch.Tensor]]] = {}
        for index, group in enumerate(self.network.groups):
            for member in group.members:
                parts.setdefault((member.layer, member.side), []).append((index, member.slots))
        sizes = {x.name: {"out": x.out_width, "in": x.in_width} for x in self.network.layers}
        return {
            (name, side): _Axis(tuple(i for i, _ in owned), tuple(s for _, s in owned), sizes[name][side])
            for (name, side), owned in parts.items()
        }

    def _permute(self, name: str, statistics: LayerStatistics) -> LayerStatistics:
        sources = surgery.axis_sources(self.network, self.order)
        return statistics.permuted(self._permuted.get_submodule(name), sources[(name, "in")])

    def _solver(self, name: str, last: int | None) -> PrefixSolver:
        """Solver of a consumer with the channels of group ``last`` (or of its only group) at the end."""
        axis = self._axes[(name, "in")]
        which = 0 if last is None else axis.groups.index(last)
        mine = axis.slots[which].T.flatten()
        others = torch.ones(axis.size, dtype=torch.bool).index_fill_(0, mine, False).nonzero().flatten()
        return PrefixSolver(self._statistics[name], torch.cat([others, mine]))

    def _error_curve(self, group: Group) -> tuple[IntArray, FloatArray]:
        index = self.network.group_index(group.name)
        widths = np.arange(group.width + 1)
        curves = []
        for member in group.members:
            if member.side == "in" and member.layer in self._statistics:
                alone = len(self._axes[(member.layer, "in")].groups) == 1
                solver = self._solvers[member.layer] if alone else self._solver(member.layer, index)
                size = self._axes[(member.layer, "in")].size
                repeats = member.slots.shape[0]
                errors = [solver.error(size - repeats * (group.width - int(width))) for width in widths]
                curves.append(np.array(errors) / max(solver.energy, 1e-30))
        if not curves:
            norms = measures.l1(self.network, group)[self.order[group.name]].numpy()
            curves.append(1 - np.concatenate([[0.0], np.cumsum(norms)]) / max(norms.sum(), 1e-30))
        return widths, np.clip(np.mean(curves, axis=0), 0.0, 1.0)

    def error_curve(self, name: str) -> tuple[IntArray, FloatArray]:
        """Widths ``0..width`` and, at each, the share of the consumers' output energy that cannot be restored."""
        return self._curves[name]

    def _find_recipes(self) -> Iterator[tuple[str, str, tuple[Side | None, ...]]]:
        for layer in self.network.layers:
            kind = kind_of(self._modules[layer.name])
            for tensor, sides in (kind.tensors if kind else {}).items():
                changes = any(side is not None and (layer.name, side) in self._axes for side in sides)
                if f"{layer.name}.{tensor}" in self._dense and (changes or (layer.name, "in") in self._axes):
                    yield layer.name, tensor, sides

    def _positions(self, layer: str, side: Side, widths: tuple[int, ...]) -> int | torch.Tensor:
        """Kept positions of a layer side: their number where they are a prefix, else the indices."""
        key = (layer, side, widths)
        if key not in self._kept:
            kept = self._axes[(layer, side)].kept(widths)
            prefix = bool((kept == torch.arange(len(kept))).all())
            self._kept[key] = len(kept) if prefix else kept.to(self.device)
        return self._kept[key]

    def _repair(self, layer: str, widths: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Refitted weight (all output rows) and bias of a consumer whose input groups have ``widths``."""
        key = (layer, widths)
        if key not in self._repaired:
            axis, statistics = self._axes[(layer, "in")], self._statistics[layer]
            kept = axis.kept(widths)
            if layer in self._solvers:
                theta = self._solvers[layer].solve(len(kept))
                rank = {
                    position: place for place, position in enumerate(self._solvers[layer].order[: len(kept)].tolist())
                }
                places = torch.tensor([rank[position] for position in kept.tolist()])
                theta = theta[:, torch.cat([statistics.constant(), statistics.inputs_of(places)])]
            else:
                theta = reconstruction.solve_subset(statistics, kept)
            weight, bias = statistics.split(theta)
            weight = layout.as_channels_last(weight) if self.channels_last else weight
            self._repaired[key] = (weight.to(self.device), None if bias is None else bias.to(self.device))
        return self._repaired[key]

    def tensors(self, widths: npt.ArrayLike) -> dict[str, torch.Tensor]:
        """``state_dict`` key -> tensor of the plan with ``widths`` (``[G]``), for :meth:`surgery.Shell.fill`."""
        row = [int(width) for width in self.network.as_matrix(widths)[0]]
        result = {}
        for layer, name, sides in self._recipes:
            key = f"{layer}.{name}"
            tensor, repaired = self._dense[key], False
            into = self._axes.get((layer, "in"))
            if into is not None and layer in self._statistics:
                weight, bias = self._repair(layer, tuple(row[group] for group in into.groups))
                tensor, repaired = (weight, True) if name == "weight" or bias is None else (bias, True)
            for dim, side in enumerate(sides):
                if side is None or (layer, side) not in self._axes or (repaired and side == "in"):
                    continue
                kept = self._positions(layer, side, tuple(row[group] for group in self._axes[(layer, side)].groups))
                tensor = tensor.narrow(dim, 0, kept) if isinstance(kept, int) else tensor.index_select(dim, kept)
            result[key] = tensor
        return result

    def shell(self) -> surgery.Shell:
        """A copy of the permuted dense network into which the tensors of plans can be put, one after the other."""
        return surgery.Shell(copy.deepcopy(self._permuted))

    def pruned(self, widths: npt.ArrayLike) -> nn.Module:
        """A plain, physically smaller network with repaired weights, independent of the tables."""
        tensors = {key: value.clone().contiguous() for key, value in self.tensors(widths).items()}
        return self.shell().fill(tensors).requires_grad_(True)


def batches(
    split: Split, size: int, device: torch.device, channels_last: bool = False
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Inputs of a split, ``size`` samples at a time."""
    edges = [*range(0, len(split), size), len(split)]
    return _slices(split, edges, device, channels_last)


def even_batches(
    split: Split, most: int, device: torch.device, channels_last: bool = False
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Inputs of a split in batches of at most ``most`` samples whose sizes differ by one at the most.

    For BatchNorm statistics: a short last batch would count as much as a full one, and one of one sample has no
    variance.
    """
    count = math.ceil(len(split) / most)
    edges = [len(split) * number // count for number in range(count + 1)]
    return _slices(split, edges, device, channels_last)


def _slices(
    split: Split, edges: Sequence[int], device: torch.device, channels_last: bool
) -> Iterator[tuple[torch.Tensor, ...]]:
    for start, stop in itertools.pairwise(edges):
        parts = tuple(tensor[start:stop].to(device) for tensor in split.tensors)
        yield tuple(layout.as_channels_last(part) for part in parts) if channels_last else parts
