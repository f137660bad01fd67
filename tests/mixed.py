"""Small networks with everything that can be decided about them, for tests of mixed decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.choice import KINDS, Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.evaluation.evaluator import Evaluator
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.weights import WeightRule
from rlprune.tasks.base import Task
from rlprune.tasks.split import Split
from tests.architectures.transformers import LENGTH, ClassToken
from tests.models import build, images

NETWORKS = ("residual", "depthwise", "concat", "dense", "transformer")
WITH_BLOCKS = ("residual", "transformer")
RULES = {
    "zeros": WeightRule(),
    "means": WeightRule(replacement="mean"),
    "2:4": WeightRule("2:4"),
    "2:4 means": WeightRule("2:4", "mean"),
    "3:5": WeightRule("3:5"),
}


@dataclass(frozen=True)
class Prepared:
    """A network that is ready to be pruned."""

    tables: PruningTables
    task: Task
    kinds: tuple[Kind, ...]

    @property
    def network(self) -> Network:
        return self.tables.network

    def space(
        self,
        *kinds: Kind,
        rule: WeightRule = RULES["zeros"],
        int8: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
    ) -> Space:
        """All that can be decided where no kind is named."""
        return Space(self.network, Decisions(kinds or self.kinds, rule=rule, exclude=exclude), int8=int8)

    def evaluator(self, space: Space) -> Evaluator:
        return Evaluator(self.tables, self.task, samples=64, space=space)


def _sequences(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, LENGTH, 6, generator=torch.Generator().manual_seed(seed))


def _transformer() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ClassToken().eval()


def prepare(name: str) -> Prepared:
    """The network of a name, with random weights, and its own answers as its task."""
    model, inputs = (_transformer(), _sequences) if name == "transformer" else (build(name), images)

    def split(count: int, seed: int) -> Split:
        with torch.no_grad():
            return Split(inputs(count, seed), model(inputs(count, seed)).argmax(1))

    with torch.no_grad():
        classes = model(inputs(1, 0)).shape[1]
    task = Task("toy", calibration=split(128, 1), validation=split(64, 2), test=split(32, 3), classes=classes)
    kinds = KINDS if name in WITH_BLOCKS else ("channels", "weights", "bits")
    return Prepared(PruningTables(Network(model, inputs(1, 0)), task.calibration), task, kinds)


def random_rows(space: Space, count: int, seed: int = 0) -> IntArray:
    """Plans of levels drawn one by one. Blocks stay three times in four; every third plan has few bits only."""
    random = np.random.default_rng(seed)
    rows = np.stack([random.choice(choice.levels, count) for choice in space.choices], axis=1).astype(np.int64)
    blocks = [place for place, choice in enumerate(space.choices) if choice.kind == "depth"]
    rows[:, blocks] = random.random((count, len(blocks))) < 0.75
    bits = [place for place, choice in enumerate(space.choices) if choice.kind == "bits"]
    rows[::3, bits] = np.minimum(rows[::3, bits], 8)
    return rows


def row_of(space: Space, levels: Mapping[str, int]) -> IntArray:
    """The full row with some levels of choices that are named ``kind:name``."""
    row = space.full.copy()
    places = {f"{choice.kind}:{choice.name}": place for place, choice in enumerate(space.choices)}
    for name, level in levels.items():
        row[places[name]] = level
    return row
