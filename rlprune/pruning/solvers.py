"""A solver for each layer that reads channels, and where its refits would do harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from rlprune.networks import surgery
from rlprune.networks.layers import Side
from rlprune.networks.network import Network
from rlprune.pruning.axes import LayerAxis
from rlprune.pruning.calibration import Statistics
from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.reconstruction import MeanSolver, PrefixSolver, Solver, SubsetSolver
from rlprune.pruning.statistics import ChannelMoments
from rlprune.pruning.work import Work


def make_solvers(
    network: Network,
    statistics: dict[str, Statistics],
    order: Mapping[str, torch.Tensor],
    tensors: dict[str, torch.Tensor],
    axes: Mapping[tuple[str, Side], LayerAxis],
    work: Work,
) -> tuple[dict[str, Solver], dict[str, str]]:
    """Layer name -> solver, with the channels of the permuted network, and where some would do harm.

    Args:
        network: the dense one.
        statistics: of its layers; emptied, to free memory.
        order: of the channels of each group.
        tensors: of the permuted network.
        axes: sides of its layers.
        work: is told what is done.
    """
    sources = surgery.axis_sources(network, order)
    layers = {layer.name: layer for layer in network.layers}
    solvers: dict[str, Solver] = {}
    harm: dict[str, str] = {}
    for name in list(statistics):
        item = statistics.pop(name)
        work.factored(name)
        permuted = Coefficients.of(layers[name], tensors, item.coefficients.scales)
        groups = _order_of_groups(permuted, sources.get((name, "out")))
        inputs = sources[(name, "in")]
        if isinstance(item, ChannelMoments):
            solvers[name] = MeanSolver(permuted, item.mean[groups][:, permuted.weight_columns_of(inputs)])
            continue
        item = item.permuted(permuted, inputs, groups)
        axis = axes[(name, "in")]
        plans = judged_at(axis, network)
        alone = len(axis.groups) == 1
        counts = [len(axis.kept(widths)) for widths in plans]
        solvers[name] = PrefixSolver(item, axis.by_importance(), counts) if alone else SubsetSolver(item)
        harmful = [widths for widths in plans if not solvers[name].helps(axis.kept(widths))]
        if harmful:
            harm[name] = harm_told(harmful, len(plans), "on samples held out")
    return solvers, harm


def judged_at(axis: LayerAxis, network: Network) -> list[tuple[int, ...]]:
    """Widths of the groups of an axis at which a refit is judged beforehand: all of one, the half of several."""
    widths = [network.groups[index].widths for index in axis.groups]
    if len(widths) == 1:
        return [(width,) for width in widths[0][:-1]]
    return [tuple(min(each, key=lambda width: abs(2 * width - each[-1])) for each in widths)]


def harm_told(widths: Sequence[tuple[int, ...]], of: int, where: str) -> str:
    """Why a layer is cut at some widths."""
    listed = ", ".join("/".join(map(str, each)) for each in widths)
    times = f"at {len(widths)} of {of} smaller widths ({listed})"
    return f"{times} a refit would leave a larger error than a plain cut, {where}"


def _order_of_groups(coefficients: Coefficients, outputs: torch.Tensor | None) -> torch.Tensor:
    """Which group of the dense layer stands at each place, where outputs were permuted with their groups."""
    if coefficients.groups == 1 or outputs is None:
        return torch.arange(coefficients.groups)
    return outputs[:: coefficients.outputs] // coefficients.outputs
