"""Writes torch-pruning.md: the same networks in Torch-Pruning. Run ``python -m tests.architectures.compare``.

Torch-Pruning (Fang et al., DepGraph, CVPR 2023) finds groups by the names of autograd's functions. Each group of either
is judged by what it does: half of its channels, chosen at random, are pruned, and the answer must be that of the dense
network whose removed weights are zero, or, where a statistic over channels changes, that of the dense network in which
it is taken over what is left.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import importlib.util
import multiprocessing
import warnings
from collections import Counter
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.errors import RlpruneError
from rlprune.networks import surgery
from rlprune.networks.checking.reference import Reference
from rlprune.networks.inputs import call, tensors_in
from rlprune.networks.loading.discovery import discover
from rlprune.networks.network import Network
from rlprune.networks.tensors import named_tensors
from rlprune.networks.tracing.atoms import Labels
from rlprune.support.files import read_json, write_atomic, write_json
from tests.architectures import checks
from tests.architectures.architecture import Architecture
from tests.architectures.catalogue import ARCHITECTURES
from tests.architectures.generate import table_line

PAGE = Path(__file__).parent / "torch-pruning.md"
RESULTS = PAGE.with_suffix(".json")
SECONDS = 120
RIGHT, WRONG, FAILS, LEFT_OUT = "right", "wrong", "fails", "left out"
COLUMNS = (
    "network",
    "groups",
    "right",
    "groups",
    "right",
    "wrong",
    "fail",
    "left out",
    "what Torch-Pruning says first",
)
Result = dict[str, Any]
Verdict = tuple[str, str]
"""``RIGHT``, ``WRONG``, ``FAILS`` or ``LEFT_OUT``, and the first line of an error."""


# Torch-Pruning


def graph_of(model: nn.Module, network: Network) -> Any:
    """Its dependency graph, with all defaults; nested inputs and answers are unpacked for it."""
    import torch_pruning

    return torch_pruning.DependencyGraph().build_dependency(
        model,
        example_inputs=network.example_inputs,
        forward_fn=call,
        output_transform=lambda answer: list(tensors_in(answer)),
        verbose=False,
    )


def groups_of(graph: Any) -> list[Any]:
    """All groups, from the layers at which its own pruner starts; those of one channel cannot be pruned."""
    from torch_pruning import ops

    roots = (ops.TORCH_CONV, ops.TORCH_LINEAR, ops.TORCH_LSTM)
    return [group for group in graph.get_all_groups(root_module_types=roots) if len(group[0].idxs) > 1]


def half_of(graph: Any, group: Any, seed: int = 0) -> list[int]:
    """Half of the channels; the same ones of each block where a layer has blocks, as its own pruner does."""
    blocks = max(blocks_of(graph, item.dep) for item in group)
    width = len(group[0].idxs) // blocks
    chosen = torch.randperm(width, generator=torch.Generator().manual_seed(seed))[: width // 2].tolist()
    return sorted(block * width + channel for block in range(blocks) for channel in chosen)


def blocks_of(graph: Any, dependency: Any) -> int:
    """Groups of a convolution that is not depthwise, or of a GroupNorm."""
    module = dependency.target.module
    if isinstance(module, nn.modules.conv._ConvNd) and module.groups == module.out_channels:
        return 1
    pruner = graph.get_pruner_of_module(module)
    if graph.is_out_channel_pruning_fn(dependency.handler):
        return int(pruner.get_out_channel_groups(module))
    return int(pruner.get_in_channel_groups(module))


def theirs(network: Network, number: int) -> Verdict:
    """What pruning one of its groups gives."""
    model = copy.deepcopy(network.model).requires_grad_(True)
    graph = graph_of(model, network)
    group = groups_of(graph)[number]
    chosen = half_of(graph, group)
    if not chosen:
        return LEFT_OUT, ""
    number_entries(model)
    try:
        root = group[0].dep
        graph.get_pruning_group(root.target.module, root.handler, chosen).prune()
    except Exception as reason:
        return FAILS, first_line(reason)
    return verdict(network, model)


# Judgement of either


def ours(network: Network, name: str) -> Verdict:
    """What pruning one of our groups gives."""
    numbered = network.with_model(copy.deepcopy(network.model))
    number_entries(numbered.model)
    group = next(group for group in network.groups if group.name == name)
    return verdict(network, surgery.prune(numbered, {name: checks.halves(group)[0]}).eval())


def number_entries(model: nn.Module) -> None:
    """Each entry of each tensor becomes its own position, so that what is left of a cut tensor says what was cut."""
    for tensor in {id(tensor): tensor for _, tensor in named_tensors(model)}.values():
        if tensor.is_floating_point():
            tensor.data = torch.arange(tensor.numel(), dtype=torch.float64).to(tensor.dtype).view(tensor.shape)


def verdict(network: Network, numbered: nn.Module) -> Verdict:
    """Whether a pruned network, whose tensors hold positions in the dense ones, answers as it should."""
    dense = {key: tensor for key, tensor in named_tensors(network.model) if tensor.is_floating_point()}
    kept: dict[str, torch.Tensor] = {}
    filled: set[int] = set()
    for key, tensor in named_tensors(numbered):
        if key in dense and id(tensor) not in filled:
            filled.add(id(tensor))
            kept[key] = tensor.detach().long()
            tensor.data = dense[key].flatten()[kept[key].flatten()].view(tensor.shape)
    try:
        got = checks.answer(numbered, network, "half of a group")
    except AssertionError as reason:
        return FAILS, first_line(reason.__cause__ or reason)
    if shapes_of(got) != shapes_of(checks.answer(network.model, network)):
        return LEFT_OUT, ""
    tolerance = checks.EXACT if next(iter(dense.values())).dtype == torch.float64 else 1e-4
    for reference in (with_zeros, over_what_is_left):
        with torch.no_grad(), checks.precision(next(iter(dense.values())).dtype):
            if checks.difference(got, reference(network, kept)) <= tolerance:
                return RIGHT, ""
    return WRONG, ""


def shapes_of(answer: Any) -> list[torch.Size]:
    return [tensor.shape for tensor in tensors_in(answer)]


def with_zeros(network: Network, kept: Mapping[str, torch.Tensor]) -> Any:
    """Answer of the dense network in which parameters are zero where they were cut."""
    planted = copy.deepcopy(network.model)
    for key, parameter in planted.named_parameters():
        if key in kept:
            alive = torch.zeros(parameter.numel(), dtype=torch.bool)
            alive[kept[key].flatten()] = True
            parameter.data[~alive.view(parameter.shape)] = 0
    return call(planted, network.example_inputs)


def over_what_is_left(network: Network, kept: Mapping[str, torch.Tensor]) -> Any:
    """Answer of the dense network in which products, means and normalisations ignore what was cut."""
    cut: Any = EntriesCut(network, kept)
    return Reference(network, network.example_inputs, cut).run()


class EntriesCut:
    """Stands for :class:`~rlprune.networks.checking.reference.Cut` where entries of tensors were cut, not groups."""

    def __init__(self, network: Network, kept: Mapping[str, torch.Tensor]) -> None:
        found = discover(network.model, network.example_inputs, network.outputs, network.taken, network.opaque)
        atoms = found.trace.atoms
        shapes = {key: tuple(tensor.shape) for key, tensor in named_tensors(network.model)}
        self._gone = np.zeros(atoms.count, dtype=bool)
        stored = np.zeros(atoms.count, dtype=bool)
        for axis in atoms.axes:
            stored[axis.atoms] = True
            if axis.tensor in kept:
                places = np.unravel_index(kept[axis.tensor].flatten().numpy(), shapes[axis.tensor])[axis.dim]
                self._gone[axis.atoms] = ~np.isin(np.arange(axis.size), places)
        cut = np.zeros(atoms.count, dtype=bool)
        cut[network.atom_roots[self._gone]] = True
        self._gone |= cut[network.atom_roots] & ~stored  # first states of recurrent layers follow

    def removed(self, label: IntArray) -> Any:
        """Whether each position of a label goes."""
        return (label >= 0) & self._gone[label]

    def of(self, tensor: torch.Tensor, labels: Labels) -> None:
        """What is inside the network is not compared."""


def first_line(reason: BaseException) -> str:
    lines = str(reason).splitlines() or [""]
    return f"{type(reason).__name__}: {lines[0]}"[:120]


# One network after the other, each in a process of its own


def exact_network(architecture: Architecture) -> Network:
    """The network in float64, where it runs so."""
    network = checks.network_of(architecture)
    exact = checks.in_float64(network)
    try:
        checks.answer(exact.model, exact)
    except AssertionError:
        return network
    return exact


def all_theirs(network: Network) -> Result:
    """Verdicts on all of its groups, or why it finds none."""
    try:
        with checks.precision(next(network.model.parameters()).dtype):
            count = len(groups_of(graph_of(copy.deepcopy(network.model).requires_grad_(True), network)))
            return {"theirs": [theirs(network, number) for number in range(count)], "graph": ""}
    except Exception as reason:
        return {"theirs": [], "graph": first_line(reason)}


def _report(architecture: Architecture, answer: Connection) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    network = exact_network(architecture)
    answer.send({"ours": [ours(network, group.name) for group in network.groups]})
    answer.send(all_theirs(network))


def compared(architecture: Architecture) -> Result:
    """Verdicts on all groups of both, from a process that may crash or hang."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_report, args=(architecture, there))
    process.start()
    there.close()
    result: Result = {"ours": [], "theirs": [], "graph": f"no groups within {SECONDS} s"}
    try:
        for _ in range(2):
            result |= here.recv() if here.poll(SECONDS) else {}
    except EOFError:
        result["graph"] = "the process ended"
    process.terminate()
    process.join()
    return result


# The page


def line(name: str, result: Mapping[str, Any]) -> str:
    mine, yours = (Counter(verdict for verdict, _ in result[side]) for side in ("ours", "theirs"))
    said = result["graph"] or next((why for _, why in result["theirs"] if why), "")
    counts = (mine.total(), mine[RIGHT], yours.total(), yours[RIGHT], yours[WRONG], yours[FAILS], yours[LEFT_OUT])
    return table_line((name, *map(str, counts), f"`{said}`".replace("|", "\\|") if said else ""))


def page(results: Mapping[str, Mapping[str, Any]], version: str) -> str:
    mine, yours = (Counter(v for result in results.values() for v, _ in result[side]) for side in ("ours", "theirs"))
    failed = sum(bool(result["graph"]) for result in results.values())
    pruned = yours.total() - yours[LEFT_OUT]
    lines = [table_line(COLUMNS), table_line(("---", *["--:"] * 7, "---"))]
    lines += [line(name, result) for name, result in results.items()]
    introduction = f"""# Comparison with Torch-Pruning

The networks of [architectures.md](architectures.md) in Torch-Pruning {version}, by the way it documents:
`DependencyGraph().build_dependency`, `get_all_groups` from convolutions, linear layers and LSTMs, `get_pruning_group`,
`prune`. Each group is pruned alone, by half of its channels at random (the same ones of each block where convolutions
or GroupNorm have blocks). It is *right* where the answer is that of the dense network whose removed weights are zero,
or, with normalisations and means over channels, of the dense network that takes them over what is left; *wrong* where
the pruned network runs and answers otherwise; and *fails* where cutting or running raises. *Left out* are groups whose
pruning changes the shape of an answer, and those with one channel in each block. Torch-Pruning asks its user to name
the layers that answer, heads, parameters without a layer and layers of one's own; the first is done here by leaving
out, the others are not done, and most of the wrong ones are values of attention. Ours are judged in the same way.

In {len(results)} networks, {mine[RIGHT]} of our {mine.total()} groups are right. Torch-Pruning finds no groups in
{failed} networks; of its {pruned} groups in the others, {yours[RIGHT]} are right, {yours[WRONG]} are wrong and
{yours[FAILS]} fail. Groups are not of one size: heads are groups here, and layers that read one another's pieces are
several. The page is written by `python -m tests.architectures.compare`, which needs `torch-pruning=={version}`.

The first pair of numbers is ours, the others are Torch-Pruning's.
"""
    return "\n".join([introduction, *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="verdicts as JSON; the page goes beside it")
    parser.add_argument(
        "--only", nargs="*", choices=list(ARCHITECTURES), metavar="NAME", help="the others keep what the file says"
    )
    arguments = parser.parse_args()
    if importlib.util.find_spec("torch_pruning") is None:
        raise SystemExit("The comparison needs Torch-Pruning: pip install 'torch-pruning==1.6.*'.")
    results = {}
    if arguments.only and arguments.out.is_file():
        results = read_json(arguments.out, RlpruneError)
    for name in arguments.only or ARCHITECTURES:
        architecture = ARCHITECTURES[name]
        if architecture.requires is None or importlib.util.find_spec(architecture.requires) is not None:
            results[name] = compared(architecture)
            print(line(name, results[name]), flush=True)
    results = {name: results[name] for name in ARCHITECTURES if name in results}
    write_json(arguments.out, results)
    write_atomic(arguments.out.with_suffix(".md"), page(results, importlib.metadata.version("torch-pruning")))


if __name__ == "__main__":
    main()
