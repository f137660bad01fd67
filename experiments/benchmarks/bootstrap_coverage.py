"""How often the intervals of ``rlprune compare`` hold the truth, and how often its p is wrong, by number of seeds.

    python -m rlprune.experiments.benchmarks.bootstrap_coverage --out coverage.json

Differences of two methods that are equally good are drawn from a normal distribution, one for each seed. A 95% interval
should hold zero in 95% of cases, and p should be at most 0.05 in 5%.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from rlprune.experiments.benchmarks.columns import first, table
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.searches import at_least
from rlprune.experiments.comparing.bootstrap import paired_difference
from rlprune.experiments.presenting.document import Section

ALPHA = 0.05


def run(case: Case) -> list[Row]:
    """Shares of all comparisons over so many seeds."""
    draws = np.random.default_rng(case.seed).standard_normal((case.cases, case.seeds))
    found = [paired_difference(row.tolist(), [0.0] * case.seeds) for row in draws]
    held = [one.low is not None and one.high is not None and one.low <= 0 <= one.high for one in found]
    small = [one.p is not None and one.p <= ALPHA for one in found]
    return [{"cases": case.cases, "coverage": float(np.mean(held)), "false_p": float(np.mean(small))}]


def tables(rows: Rows) -> Iterator[Section]:
    """A line for each number of seeds."""
    columns = {
        "cases": first("cases"),
        "interval holds the truth": first("coverage", ".1%"),
        f"p <= {ALPHA} by chance": first("false_p", ".1%"),
    }
    yield Section("Methods that are equally good", [table(rows, ["seeds"], columns)])


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5, 6, 8, 10, 20])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)


BENCHMARK = Benchmark(
    "bootstrap_coverage", __doc__, flags, ("seeds",), run, tables, lambda options: at_least(options, seeds=2, cases=1)
)
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
