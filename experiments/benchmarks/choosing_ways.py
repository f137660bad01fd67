"""Which ways of evaluating plans a network takes, and why it does not take the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import torch

from rlprune.errors import NetworkError, RlpruneError, kind_and_line
from rlprune.evaluation.evaluator import SEARCH_BATCH
from rlprune.experiments.benchmarks.exported_ways import EXPORTED, FilledGraph
from rlprune.experiments.benchmarks.ways import FoldedWay, Subject, TorchWay, Way

BATCHES = (64, 128, 256)
EXPORTED_BATCHES = (64, 512)
TODAY = "torch, channels last, batch statistics"
REFERENCE = "torch, channels last"
TOLERANCE = 1e-3
"""Largest difference between a way's dense outputs and the reference's, as a share of their largest value."""

FAILURES = (RlpruneError, RuntimeError, ImportError)
Candidate = tuple[str, Callable[[], Way]]


@dataclass(frozen=True, eq=False)
class Choice:
    """The ways that a network takes.

    Attributes:
        ways: the first is the reference of ratios.
        dense: name of a way -> its outputs of the dense network, ``[samples, ...]``.
        left_out: name of a way -> why the network does not take it.
    """

    ways: list[Way]
    dense: dict[str, torch.Tensor]
    left_out: dict[str, str]

    @property
    def reference(self) -> str:
        """The way whose divergences are those to compare with, running statistics."""
        return REFERENCE if REFERENCE in self.dense else self.ways[0].name

    @property
    def today(self) -> str:
        """The way of a search of at least 512 samples; where it has no channels last, with batch statistics still."""
        return TODAY if TODAY in self.dense else "torch, usual layout, batch statistics"


def choose_ways(subject: Subject) -> Choice:
    """Try each way on the dense network; those that fail or answer differently are left out.

    The plain way in the usual memory layout has to run, and raises what it raises.
    """
    choice = Choice([], {}, {})
    for name, make in _candidates(subject):
        if not choice.ways:
            _admit(choice, subject, make())
            continue
        try:
            _admit(choice, subject, make())
        except FAILURES as reason:
            choice.left_out[name] = str(reason) if isinstance(reason, RlpruneError) else kind_and_line(reason)
    return choice


def _admit(choice: Choice, subject: Subject, way: Way) -> None:
    dense = subject.tables.network.dense_widths
    outputs = way.start(dense, subject.tables.tensors(dense))()
    if choice.ways and not way.batch_statistics:
        wanted = choice.dense[choice.reference]
        difference = float((outputs - wanted).abs().max() / wanted.abs().max())
        if not difference <= TOLERANCE:
            raise NetworkError(f"its dense outputs differ by {difference:.2g} of their largest value")
    choice.ways.append(way)
    choice.dense[way.name] = outputs


def _candidates(subject: Subject) -> Iterator[Candidate]:
    whole = min(SEARCH_BATCH, len(subject.split))
    last = subject.tables.channels_last
    layout = "channels last" if last else "usual layout"

    def of_torch(name: str, batch: int, batch_statistics: bool, channels_last: bool) -> Candidate:
        def make() -> Way:
            return TorchWay(subject, name, batch=batch, batch_statistics=batch_statistics, channels_last=channels_last)

        return name, make

    smaller = [size for size in BATCHES if size < whole]
    yield of_torch("torch, usual layout", whole, False, False)
    yield of_torch(REFERENCE, whole, False, True)
    for size in [whole, *reversed(smaller)]:
        suffix = "" if size == whole else f", batches of {size}"
        yield of_torch(f"torch, {layout}, batch statistics{suffix}", size, True, last)
    name = f"torch, {layout}, BatchNorm folded"
    yield name, lambda: FoldedWay(subject, name, batch=whole, channels_last=last)
    for size in reversed(smaller):
        yield of_torch(f"torch, {layout}, batches of {size}", size, False, last)
    if smaller:
        small = f"{name}, batches of {smaller[0]}"
        yield small, lambda: FoldedWay(subject, small, batch=smaller[0], channels_last=last)
    yield from _exported(subject, whole)


def _exported(subject: Subject, whole: int) -> Iterator[Candidate]:
    graph = cache(lambda batch: FilledGraph(subject, batch))
    for kind in EXPORTED:
        for size in sorted({min(size, whole) for size in EXPORTED_BATCHES}):
            name = f"{kind.library}, batches of {size}"
            yield name, lambda kind=kind, name=name, size=size: kind(subject, name, graph(size), size)  # type: ignore[misc]
