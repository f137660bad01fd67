"""What the order in which channels go is worth: every importance measure at uniform widths.

    python -m rlprune.experiments.benchmarks.channel_order --network digits-resnet fashion-resnet20 --out order.json

Printed is the divergence from the dense network on the search samples, weights repaired by least squares.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.pipeline.setup import Material, load_material
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.networks.network import Network
from rlprune.pruning.importance import IMPORTANCES
from rlprune.pruning.tables import PruningTables

SCHEMA = "rlprune-channel-order/1"


def uniform_widths(network: Network, ratio: float) -> list[int]:
    """The allowed width nearest to ``ratio`` in every group."""
    return [min(group.widths, key=lambda width: abs(width - ratio * group.width)) for group in network.groups]


def compare(material: Material, importance: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each keep ratio."""
    tables = PruningTables(material.network, material.task.calibration, importance=importance, seed=options.seed)
    evaluator = Evaluator(tables, material.task, samples=options.samples)
    return [
        {
            "network": material.name,
            "importance": importance,
            "keep_ratio": ratio,
            "divergence": evaluator(uniform_widths(material.network, ratio)).divergence,
        }
        for ratio in options.keep
    ]


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    heads = ["network", "importance", *(f"keep {ratio:g}" for ratio in options.keep)]
    cells, rows = [], []
    for network in options.network:
        material = load_material(NetworkConfig(network=network, data_dir=options.data_dir), 8)
        for importance in IMPORTANCES:
            found = compare(material, importance, options)
            cells.append([network, importance, *(f"{row['divergence']:.4f}" for row in found)])
            rows += found
    print_table("divergence from the dense network at uniform keep ratios", heads, cells)
    return {"schema": SCHEMA, "settings": vars(options), "rows": rows}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=["fashion-resnet20"], help="zoo names or module:function")
    parser.add_argument("--keep", nargs="+", type=float, default=[0.75, 0.5], help="keep ratios")
    parser.add_argument("--samples", type=int, default=512, help="validation samples")
    parser.add_argument("--seed", type=int, default=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
