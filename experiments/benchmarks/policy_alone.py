"""What a policy that was trained over a range of budgets is worth by itself, at budgets that the training had not.

    rlprune sweep fronts
    python -m rlprune.experiments.benchmarks.policy_alone studies/fronts/members/*

Of every run whose agent learns: one walk without search, at the budgets half-way between the levels of its range,
beside the filled plan.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator

import numpy as np

from rlprune.agents import Policy, replay
from rlprune.budgets.limits import Budget
from rlprune.errors import ConfigError
from rlprune.experiments.benchmarks.columns import groups, table, values
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.presenting.document import Section
from rlprune.experiments.runs.run_folder import POLICY, RESULT, RunFolder
from rlprune.experiments.settings.result_configs import ValidateConfig
from rlprune.experiments.validating.rebuilding import rebuild


def run(case: Case) -> list[Row]:
    """A row for each budget: log(divergence of the filled plan / divergence of the policy's plan).

    Raises:
        ConfigError: the run is over no range.
        RunError: the folder holds no finished run.
    """
    folder = RunFolder.open(case.run, RESULT)
    config = folder.config()
    wide = config.budget_range()
    if wide is None:
        raise ConfigError(f"Runs must be over a range of budgets; {case.run} is at {config.budget}. Name others.")
    if not (folder.path / POLICY).is_file():
        return []
    settings = ValidateConfig(
        run=case.run, no_timing=True, network=case.network, task=case.task, data_dir=case.data_dir
    )
    problem, policy = rebuild(settings, folder, Progress()).problem, Policy.load(folder.path)
    values_of = [level.value for level in wide.budgets(config.levels)]
    between = [Budget(wide.metric, (low + high) / 2, wide.low.unit) for low, high in itertools.pairwise(values_of)]
    told = {"network": config.network, "method": config.agent, "seed": config.seed}
    return [
        {**told, "budget": budget.value, "gain": replay(policy, problem.within([budget])).reward} for budget in between
    ]


def tables(rows: Rows) -> Iterator[Section]:
    """A line for each network and method."""
    columns = {
        "seeds": lambda own: str(len(groups(own, "seed"))),
        "policy alone beats filled": lambda own: f"{np.mean(np.array(values(own, 'gain')) > 0):.0%} of {len(own)}",
        "its KL / filled's, median": lambda own: f"{np.exp(-np.median(values(own, 'gain'))):.2f}",
    }
    yield Section("Policies at budgets between those of their training", [table(rows, ["network", "method"], columns)])


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("run", nargs="+", help="run folders of rlprune train --budget METRIC=LOW..HIGH")
    parser.add_argument("--network", help="that of the runs, where it is module:function, which is code")
    parser.add_argument("--task", help="that of the runs, where it is module:function")


BENCHMARK = Benchmark("policy_alone", __doc__, flags, ("run",), run, tables)
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
