"""Prepared tables: the repaired weights of any plan are looked up, not computed.

Once per network it is prepared (:mod:`rlprune.pruning.preparation`), and each consumer is factored
(:mod:`rlprune.pruning.reconstruction`). In the permuted network every plan keeps leading channels, so its tensors are
prefixes of tables and cost no arithmetic.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.networks import layout, surgery
from rlprune.networks.layers import Layer, Side, Sides
from rlprune.networks.network import Network
from rlprune.networks.tensors import named_tensors
from rlprune.pruning.axes import find_axes
from rlprune.pruning.cache import RecentlyUsed
from rlprune.pruning.calibration import (
    COMPUTED,
    HELD_OUT_EVERY,
    Statistics,
    divided,
    gather,
)
from rlprune.pruning.preparation import Limits, Preparing
from rlprune.pruning.reconstruction import SubsetSolver
from rlprune.pruning.refits import Refits
from rlprune.pruning.rollout import harmful_when_run
from rlprune.pruning.solvers import harm_told, judged_at, make_solvers
from rlprune.pruning.statistics import LayerStatistics
from rlprune.pruning.work import Tell
from rlprune.tasks.batches import batches
from rlprune.tasks.split import Split

MEMORY_GIB = 2.0
MOST_OPERATIONS = 2e11
INDEX_BYTES, INDEX_SHARE = 2**26, 0.125
MOMENTS_SHARE = 0.5
ROLLED_OUT = 64


class PruningTables:
    """Everything that can be known about pruning a network before any plan is tried.

    Args:
        network: the dense network.
        calibration: samples cut from the training data; never validation or test samples.
        importance: ``elimination`` (default), ``contribution`` or ``l1``; see :mod:`rlprune.pruning.importance`.
        seed: of the positions at which layer inputs are sampled.
        device: where the network runs and the repaired weights are kept.
        memory_gib: most memory of the tables, the network itself not counted; None for any. Preparing them takes about
            as much again for a while. Layers that do not fit are cut without least squares, the largest first.
        most_operations: of one layer, about the cube of its inputs times its kernel; None for any. Those over it are
            cut without least squares too. The default is about a minute on one core.
        progress: told what share of the work is done, in [0, 1], again and again.

    Attributes:
        network: the same, with the units of each recurrent layer in an order of its own
            (:mod:`rlprune.pruning.strands`).
        order: group name -> channels, most important first (``int64 [width]``).
        channels_last: whether the network runs with that memory layout, which is faster; its tensors are stored so.
        moments_limit: bytes of the memory that the moments for masked weights may take
            (:class:`rlprune.pruning.weight_repair.WeightRepair`).
        unrepaired: consumers whose weights are cut without least squares, or are at some widths, and why.
        approximate: groups whose order ignores what some consumers could compensate, and why.

    Raises:
        ConfigError: the importance is unknown, or the memory not above 0.
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
        memory_gib: float | None = MEMORY_GIB,
        most_operations: float | None = MOST_OPERATIONS,
        progress: Tell | None = None,
    ) -> None:
        self.device, limits = torch.device(device), Limits.of(memory_gib, most_operations)
        known = Preparing(calibration, importance, seed, self.device, limits, progress).of(network)
        self.network, statistics, self.unrepaired, work = known.network, known.statistics, known.unrepaired, known.work
        self.order = {name: ranking.order for name, ranking in known.rankings.items()}
        self.approximate = {name: each.approximate for name, each in known.rankings.items() if each.approximate}
        self._curves = {name: ranking.curve for name, ranking in known.rankings.items()}
        self._permuted = surgery.prune(self.network, self.order).eval().requires_grad_(False).to(self.device)
        self.channels_last = self._choose_layout(calibration)
        self._dense = {key: value.detach() for key, value in named_tensors(self._permuted)}
        self._axes = find_axes(self.network)
        for name in [name for name in statistics if self.unrepaired.get(name) == COMPUTED]:
            del statistics[name]
        solvers, harmful = make_solvers(self.network, statistics, self.order, self._dense, self._axes, work)
        self.unrepaired |= harmful
        self._recipes = list(self._find_recipes())
        free = limits.memory - sum(solver.bytes for solver in solvers.values())
        self._kept: RecentlyUsed[int | torch.Tensor] = RecentlyUsed(min(INDEX_SHARE * free, INDEX_BYTES))
        self.moments_limit = MOMENTS_SHARE * free
        left = free - self.moments_limit - self._kept.limit
        self._refits = Refits(solvers, self._axes, self.device, self.channels_last, left)
        self._leave_what_runs_away(calibration)
        work.finish()

    @property
    def bytes(self) -> int:
        """Memory of the tables: factors, and weights that were repaired lately. The network itself is not counted."""
        return self._kept.bytes + self._refits.bytes

    def _choose_layout(self, calibration: Split) -> bool:
        """Store the permuted network with channels last if that helps and it runs that way."""
        if not any(parameter.dim() == 4 for parameter in self._permuted.parameters()):
            return False
        layout.to_channels_last(self._permuted)
        if layout.runs_channels_last(self._permuted, next(batches(calibration.take(2), 2, self.device))):
            return True
        layout.to_contiguous(self._permuted)
        return False

    def _leave_what_runs_away(self, calibration: Split) -> None:
        """Leave out refits of layers that read their own answers where these do harm."""
        harmful: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        samples = divided(calibration, ROLLED_OUT * HELD_OUT_EVERY, self.device)
        for names, widths in list(
            harmful_when_run(self.network, self._permuted, self.refitted, self._pruned_without, samples)
        ):
            for name in names:
                (group,) = self._axes[(name, "in")].groups
                mine = [width for width in self.network.groups[group].widths if width in widths]
                self._refits.leave(name, mine)
                harmful[name] += [(width,) for width in mine]
        for name, found in harmful.items():
            of = len(judged_at(self._axes[(name, "in")], self.network))
            known = f"{self.unrepaired[name]}; " if name in self.unrepaired else ""
            self.unrepaired[name] = known + harm_told(found, of, "after a whole run over samples held out")
        self._refits = self._refits.fresh()

    @property
    def refitted(self) -> set[str]:
        """Layers that read one group and are refitted by least squares."""
        return self._refits.of_one_group

    def without(self, layers: Collection[str]) -> PruningTables:
        """Tables of the same network in which these layers are cut and not refitted."""
        return self._with(self._refits.without(layers))

    def _pruned_without(self, widths: IntArray, layers: Collection[str]) -> nn.Module:
        tables = self.without(layers)
        return tables.shell().fill(tables.tensors(widths), widths)

    def error_curve(self, name: str) -> tuple[IntArray, FloatArray]:
        """Widths ``0..width`` and, at each, the share of the consumers' output energy that cannot be restored."""
        curve = self._curves[name]
        return np.arange(len(curve)), curve

    def _find_recipes(self) -> Iterator[tuple[Layer, list[tuple[str, Sides]]]]:
        """Layers that change, and which of their tensors do: all where the inputs change, as a refit moves the bias."""
        for layer in self.network.layers:
            axes = {side for name, side in self._axes if name == layer.name}
            found = [(key, sides) for key, sides in layer.tensors.items() if "in" in axes or axes & set(sides)]
            if found:
                yield layer, found

    def _positions(self, layer: str, side: Side, widths: tuple[int, ...]) -> int | torch.Tensor:
        """Kept positions of a layer side: their number where they are a prefix, else the indices."""

        def find() -> int | torch.Tensor:
            kept = self._axes[(layer, side)].kept(widths)
            prefix = bool((kept == torch.arange(len(kept))).all())
            return len(kept) if prefix else kept.to(self.device)

        return self._kept.get((layer, side, widths), find)

    @property
    def permuted(self) -> nn.Module:
        """The dense network with its channels in order; not to be changed."""
        return self._permuted

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """Tensors of the permuted network by ``state_dict`` key, by every name they have."""
        return self._dense

    def positions(self, layer: str, side: Side, widths: npt.ArrayLike, size: int) -> torch.Tensor:
        """Positions of a layer side of ``size`` that the widths ``[G]`` leave, ascending."""
        axis = self._axes.get((layer, side))
        if axis is None:
            return torch.arange(size)
        row = tuple(int(width) for width in self.network.as_matrix(widths)[0])
        return axis.kept(axis.widths(row))

    def kept_of(self, layer: str, widths: npt.ArrayLike) -> tuple[tuple[int, ...], ...]:
        """The widths, of all ``[G]``, that decide what is left of a layer: those of its inputs, then of its outputs."""
        row = tuple(int(width) for width in self.network.as_matrix(widths)[0])
        axes = [self._axes.get((layer, side)) for side in ("in", "out")]
        return tuple(() if axis is None else axis.widths(row) for axis in axes)

    def tensors(self, widths: npt.ArrayLike) -> dict[str, torch.Tensor]:
        """``state_dict`` key -> tensor of the plan with ``widths`` (``[G]``), for :meth:`surgery.Shell.fill`."""
        row = tuple(int(width) for width in self.network.as_matrix(widths)[0])
        result = {}
        for layer, parts in self._recipes:
            weight = bias = None
            if layer.name in self._refits:
                weight, bias = self._refits.of(layer.name, self._axes[(layer.name, "in")].widths(row))
            refitted = {layer.weight: weight, layer.bias: bias}
            for key, sides in parts:
                tensor = refitted.get(key)
                done: Side | None = None if tensor is None else "in"
                left = tuple(None if side == done else side for side in sides)
                result[key] = self._cut(self._dense[key] if tensor is None else tensor, layer.name, left, row)
        return result

    def _cut(self, tensor: torch.Tensor, layer: str, sides: Sides, row: tuple[int, ...]) -> torch.Tensor:
        """What the widths of all groups leave of a tensor: a view where that is a prefix."""
        for dim, side in enumerate(sides):
            axis = self._axes.get((layer, side)) if side is not None else None
            if side is None or axis is None:
                continue
            kept = self._positions(layer, side, axis.widths(row))
            tensor = tensor.narrow(dim, 0, kept) if isinstance(kept, int) else tensor.index_select(dim, kept)
        return tensor

    def fresh(self) -> PruningTables:
        """Tables of the same network that have repaired nothing yet."""
        return self._with(self._refits.fresh())

    def _with(self, refits: Refits) -> PruningTables:
        other = copy.copy(self)
        other._refits = refits
        return other

    def reading(self, model: nn.Module, calibration: Split, seed: int = 0) -> PruningTables:
        """Tables in which layers are repaired for what they read in ``model``, to answer there as the dense ones do.

        Channels keep their order. Layers that cannot be observed there keep the repair they have.

        Args:
            model: one with the tensors of :attr:`permuted`, such as that without some blocks.

        Raises:
            NetworkError: it cannot take the calibration samples.
        """
        statistics: dict[str, Statistics] = self._refits.empty_statistics()
        reasons = gather(self.network.with_model(model), statistics, calibration, seed, self.device)
        found = {
            name: SubsetSolver(item)
            for name, item in statistics.items()
            if isinstance(item, LayerStatistics) and name not in reasons
        }
        return self._with(self._refits.replacing(found))

    def shell(self) -> surgery.Shell:
        """A copy of the permuted dense network into which the tensors of plans can be put, one after the other."""
        return surgery.Shell(copy.deepcopy(self._permuted), self.network)

    def pruned(self, widths: npt.ArrayLike) -> nn.Module:
        """A plain, physically smaller network with repaired weights, independent of the tables."""
        tensors = {key: value.clone().contiguous() for key, value in self.tensors(widths).items()}
        return self.shell().fill(tensors, widths, trainable=True)
