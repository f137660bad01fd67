"""What ``replay`` and ``apply`` found of one plan, as their ``result.json`` holds it."""

from __future__ import annotations

from msgspec import Struct

from rlprune.experiments.runs.details import ToldDetails
from rlprune.experiments.runs.result import Facts
from rlprune.experiments.runs.row import Row


class ReplayResult(Struct, frozen=True, kw_only=True):
    """What a policy did to another network.

    Attributes:
        run: that the policy is of.
        command: that made this.
        network, task: as they were named.
        metric: of the task.
        budgets: that the plans keep to, as text.
        device: what the measured columns rest on, by name.
        energy_source: for people.
        rows: dense, uniform and filled, and last the policy's plan.
        details: what the task tells beside the scores.
        plan: what is kept, as a share, by choice.
        verdict: in words.
        notes: for people.
        out: folder of the files; None where none were written.
    """

    schema: str = "rlprune-replay/1"
    run: str
    command: str
    network: str
    task: str
    metric: str
    budgets: list[str]
    device: Facts
    energy_source: str
    rows: list[Row]
    details: ToldDetails
    plan: dict[str, float]
    verdict: str
    notes: list[str]
    out: str | None


class ApplyResult(Struct, frozen=True, kw_only=True):
    """What became of a network that was pruned by a plan.

    Attributes:
        network, task: as they were named.
        metric: of the task.
        plan: the file.
        repaired: whether weights were repaired and BatchNorms re-estimated.
        device: what the measured columns rest on, by name.
        energy_source: for people.
        notes: for people.
        rows: dense and pruned.
        details: what the task tells beside the scores.
        files: what was written, by kind.
    """

    schema: str = "rlprune-applied/1"
    network: str
    task: str
    metric: str
    plan: str
    repaired: bool
    device: Facts
    energy_source: str
    notes: list[str]
    rows: list[Row]
    details: ToldDetails
    files: dict[str, str]
