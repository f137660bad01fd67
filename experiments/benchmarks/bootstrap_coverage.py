"""How often the intervals of ``rlprune compare`` hold the truth, and how often its p is wrong, by number of seeds.

    python -m rlprune.experiments.benchmarks.bootstrap_coverage --out coverage.json

Differences of two methods that are equally good are drawn from a normal distribution, one for each seed. A 95% interval
should hold zero in 95% of cases, and p should be at most 0.05 in 5%.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.comparing.bootstrap import paired_difference
from rlprune.experiments.runs.tables import print_table

SCHEMA = "rlprune-bootstrap-coverage/1"
HEADS = ("seeds", "cases", "interval holds the truth", "p <= 0.05 by chance")


def coverage(seeds: int, cases: int, seed: int) -> dict[str, Any]:
    """Shares over ``cases`` comparisons with so many seeds."""
    draws = np.random.default_rng(seed).standard_normal((cases, seeds))
    found = [paired_difference(row.tolist(), [0.0] * seeds) for row in draws]
    held = [one.low is not None and one.high is not None and one.low <= 0 <= one.high for one in found]
    wrong = [one.p is not None and one.p <= 0.05 for one in found]
    return {"seeds": seeds, "cases": cases, "coverage": float(np.mean(held)), "false_p": float(np.mean(wrong))}


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Every number of seeds."""
    rows = [coverage(seeds, options.cases, options.seed) for seeds in options.seeds]
    cells = [[str(row["seeds"]), str(row["cases"]), f"{row['coverage']:.1%}", f"{row['false_p']:.1%}"] for row in rows]
    print_table("Methods that are equally good", HEADS, cells)
    return {"schema": SCHEMA, "options": vars(options), "rows": rows}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5, 6, 8, 10, 20])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw and print; returns the exit code."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
