"""What the order in which channels go is worth: every importance measure at uniform widths.

    python -m rlprune.experiments.benchmarks.channel_order --network digits-resnet fashion-resnet20 --out order.json

Printed is the divergence from the dense network on the search samples, weights repaired by least squares.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.benchmarks.columns import Column, first, groups, table
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.searches import material_of
from rlprune.experiments.presenting.document import Section
from rlprune.networks.network import Network
from rlprune.pruning.importance import IMPORTANCES
from rlprune.pruning.tables import PruningTables


def uniform_widths(network: Network, ratio: float) -> list[int]:
    """The allowed width nearest to ``ratio`` in every group."""
    return [min(group.widths, key=lambda width: abs(width - ratio * group.width)) for group in network.groups]


def run(case: Case) -> list[Row]:
    """A row for each importance and keep ratio."""
    material, rows = material_of(case), []
    for importance in IMPORTANCES:
        tables = PruningTables(material.network, material.task.calibration, importance=importance, seed=case.seed)
        evaluator = Evaluator(tables, material.task, samples=case.samples)
        for ratio in case.keep:
            divergence = evaluator(uniform_widths(material.network, ratio)).divergence
            rows.append({"importance": importance, "keep_ratio": ratio, "divergence": divergence})
    return rows


def tables(rows: Rows) -> Iterator[Section]:
    """A line for each network and importance, a column for each keep ratio."""

    def at(ratio: float) -> Column:
        return lambda own: first("divergence", ".4f")([row for row in own if row["keep_ratio"] == ratio])

    columns = {f"keep {ratio:g}": at(ratio) for (ratio,) in groups(rows, "keep_ratio")}
    title = "Divergence from the dense network at uniform keep ratios"
    yield Section(title, [table(rows, ["network", "importance"], columns)])


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--network", nargs="+", default=["fashion-resnet20"], help="zoo names or module:function")
    parser.add_argument("--keep", nargs="+", type=float, default=[0.75, 0.5], help="keep ratios")
    parser.add_argument("--samples", type=int, default=512, help="validation samples")
    parser.add_argument("--seed", type=int, default=0)


BENCHMARK = Benchmark("channel_order", __doc__, flags, ("network",), run, tables)
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
