"""What a run found, as ``result.json`` holds it: typed, and whole wherever there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from rlprune.choices.choice import Kind
from rlprune.errors import RunError
from rlprune.experiments.runs.checked import Checked, Within
from rlprune.experiments.runs.details import ToldDetails
from rlprune.experiments.runs.profile_plans import ProfilePlans
from rlprune.experiments.runs.ranking import Standing
from rlprune.experiments.runs.row import AGENT, DENSE, FILLED, LEARNED, REWARDED, UNIFORM, Row, StatedPoint
from rlprune.support.files import plain_name, read_json
from rlprune.support.records import as_plain, as_record

SCHEMA = "rlprune-result/1"
Facts = dict[str, str | int | float | None]
"""Of device and runtime, by name."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, StopIteration, TypeError, ValueError)
"""What values that are each of their kind but do not belong together can lead to."""


class Front(Struct, frozen=True, kw_only=True):
    """What a range of budgets gave.

    Attributes:
        range: of the budgets, as it was asked.
        cost: the column that is limited.
        dense_cost: of the dense network.
        chosen: the budget whose plans are the table's rows.
        hypervolume: of each method.
        verdict: whose front is best, in words.
        best: names of the points that no other one beats.
        points: every method at every budget.
    """

    range: str
    cost: str
    dense_cost: float | None = None
    chosen: str | None = None
    hypervolume: Annotated[dict[str, float], Checked("hypervolume", Within.REWARD, needs_profile=True)] = {}
    verdict: str = ""
    best: list[str]
    points: list[StatedPoint]


class StatedChoice(Struct, frozen=True, omit_defaults=True):
    """A group, or another choice that is decided.

    Attributes:
        name: for people.
        width: its full level.
        kind, of: where more than channels is decided, what is decided, and of which group, layer or block.
    """

    name: str
    width: Annotated[int, Meta(gt=0)]
    kind: Kind | None = None
    of: str | None = None


class Mark(Struct, frozen=True):
    """What the search itself saw of a row's plan, on its own samples; ``costs`` are promised."""

    score: Annotated[float, Checked("score", Within.SEARCH_SCORE)]
    divergence: Annotated[float, Checked("divergence", Within.DIVERGENCE)]
    costs: Annotated[dict[str, float], Checked("", Within.SUMS, needs_profile=True)]
    reward: Annotated[float | None, Checked("reward", Within.REWARD, needs_profile=True)]


class StatedFinalist(Struct, frozen=True):
    """A plan that was scored on all validation samples; ``behind`` as in :class:`Standing`."""

    widths: tuple[int, ...]
    reward: float | None
    score_validation: Annotated[float, Checked("validation score", Within.VALIDATION_SCORE)]
    divergence: Annotated[float, Checked("validation divergence", Within.DIVERGENCE)]
    behind: tuple[float, float] | None = None

    @property
    def standing(self) -> Standing:
        """What it is ranked by."""
        return Standing(self.score_validation, self.divergence, self.behind)


class SearchCounts(Struct, frozen=True):
    """What a search took, and the best that it found on its own samples."""

    episodes: Annotated[int, Checked("episodes")]
    evaluations: Annotated[int, Checked("evaluations")]
    cache_hits: Annotated[int, Checked("cache_hits")]
    seconds: float
    inference_seconds: float
    best_reward: Annotated[float, Checked("best reward")]


class BatchNorms(Struct, frozen=True):
    """The share of re-estimated statistics; share to divergence, of the plan that judged and of the dense network."""

    share: float
    pruned: dict[str, float | None]
    dense: dict[str, float | None]


class Noise(Struct, frozen=True):
    """How intervals were made: sets of samples drawn again, and the share of them that an interval holds."""

    draws: int
    seed: int
    level: float


class TotalCost(Struct, frozen=True):
    """What the run itself took, over all its sessions."""

    evaluations: Annotated[int, Checked("evaluations")]
    wall_seconds: Annotated[float, Checked("wall_seconds", Within.LATER)]
    cpu_seconds: Annotated[float, Checked("cpu_seconds", Within.LATER)]
    sessions: Annotated[int, Checked("sessions")]
    energy_j: float | None
    energy_source: str


class Result(Struct, frozen=True, kw_only=True):
    """What a run found.

    Attributes:
        network, task: as they were named.
        fingerprint, weights, data: digests of the network's layers and weights, and of the samples of each split.
        metric: of the task.
        agent: the method that the run is about.
        episodes, seed, reward: as they were set.
        samples: of one evaluation in the search.
        batchnorm: which statistics BatchNorms have.
        images: samples of each split.
        budgets: that the rows keep to, as text; ``limits`` are the same by cost, absolute.
        device: what the measured columns rest on, by name; None where nothing was promised or measured.
        energy_source: for people.
        groups: all that was decided, in order.
        rows: the table.
        details: what the task tells beside the scores.
        winner: name of the row whose plan the run keeps.
        noise: how the rows' intervals were made.
        front: of a range of budgets.
        verdict: what the run says about itself in words.
        marks: row to what the search saw of it.
        finalists: method to the plans that its row was chosen from, best first.
        searches: method to what it took.
        policy: what the learned policy leaves by itself: one walk, no search.
        seconds: of every phase.
        cost: of the run itself.
        profile: what its pictures show.
        notes: for people.
    """

    schema: str = SCHEMA
    network: Annotated[str, Checked("setting", of="network")]
    fingerprint: Annotated[str | None, Checked("fingerprint", since_later=True)] = None
    weights: Annotated[str | None, Checked("weights", since_later=True)] = None
    task: str
    data: Annotated[dict[str, str] | None, Checked("samples", since_later=True)] = None
    metric: str
    agent: Annotated[str, Checked("setting", of="agent")]
    episodes: Annotated[int, Checked("setting", of="episodes")]
    seed: Annotated[int, Checked("setting", of="seed")]
    reward: Annotated[str, Checked("setting", of="reward")]
    samples: Annotated[int, Checked("samples of one evaluation", of="validation")]
    batchnorm: BatchNorms | None = None
    images: dict[str, int] | None = None
    budgets: list[str]
    limits: Annotated[dict[str, float], Checked("limit", Within.SUMS, needs_profile=True)]
    device: Facts | None
    energy_source: str
    groups: Annotated[list[StatedChoice], Meta(min_length=1), Checked("groups")]
    rows: list[Row]
    details: ToldDetails | None = None
    winner: Annotated[str, Checked("winner", of="by validation score, within its noise by divergence")]
    noise: Noise | None = None
    front: Front | None = None
    verdict: str
    marks: dict[str, Mark]
    finalists: dict[str, list[StatedFinalist]] = {}
    searches: Annotated[dict[str, SearchCounts], Meta(min_length=1)]
    policy: list[int] | None = None
    seconds: dict[str, float]
    cost: TotalCost | None = None
    profile: ProfilePlans | None
    notes: list[str]

    def __post_init__(self) -> None:
        """Refuse what cannot be true of values that are each of their kind."""
        for name in self.searches:
            plain_name(name, RunError)
        if any(len(row.widths) != len(self.groups) for row in self.rows):
            raise ValueError(f"every row must have {len(self.groups)} widths, one a group")
        if not any(row.role == DENSE for row in self.rows):
            raise ValueError("rows must have the dense network")
        if any(row.role in REWARDED and row.reward is None for row in self.rows):
            raise ValueError("every row that was searched must have a reward")
        if self.details is not None and not {row.name for row in self.rows} <= set(self.details.networks):
            raise ValueError("details must be of every network in rows")
        if missing := {DENSE, UNIFORM} - set(self.marks):
            raise ValueError(f"marks must have {', '.join(sorted(missing))}")
        if self.device is not None and not all(isinstance(self.device.get(key), str) for key in ("device", "runtime")):
            raise ValueError("device must name device and runtime")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they are written."""
        values: dict[str, Any] = as_plain(self)
        return values


def read_result(path: Path) -> Result:
    """The result of a run.

    Raises:
        RunError: the file is missing, or does not hold what a result holds; it names the first thing that is wrong.
    """
    return result_of_values(read_json(path, RunError), str(path))


def result_of_values(values: dict[str, Any], origin: str) -> Result:
    """A result from plain values.

    Raises:
        RunError: as :func:`read_result`; it names the ``origin``.
    """
    if values.get("schema") != SCHEMA:
        raise RunError(f"{origin} must have schema {SCHEMA!r}; {values.get('schema')!r:.80} came. Train again.")
    try:
        return _renewed(as_record(values, Result))
    except RunError as reason:
        raise RunError(f"{origin}: {reason}") from reason
    except ValueError as reason:
        raise RunError(f"{origin} does not hold the result of a run: {reason!s:.200}. Train again.") from reason


def _renewed(result: Result) -> Result:
    """The same with today's roles: once the filled plan was called uniform, and the agent's row learned."""
    once, front = {LEARNED: AGENT}, result.front
    if not any(row.role == FILLED for row in (*result.rows, *(front.points if front else ()))):
        once[UNIFORM] = FILLED
        if front and UNIFORM in front.hypervolume:
            volumes = {FILLED if name == UNIFORM else name: volume for name, volume in front.hypervolume.items()}
            front = replace(front, hypervolume=volumes)
    if front:
        front = replace(front, points=[_in_role(point, once) for point in front.points])
    return replace(result, rows=[_in_role(row, once) for row in result.rows], front=front)


def _in_role(row: Any, once: dict[str, str]) -> Any:
    return replace(row, role=once.get(row.role, row.role))
