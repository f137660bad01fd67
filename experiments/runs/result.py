"""What a run found, as ``result.json`` holds it: typed, and whole wherever there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import astuple, force_setattr, replace

from rlprune.choices.choice import Kind
from rlprune.devices.profiles.records import ErrorSummary
from rlprune.errors import RunError
from rlprune.experiments.runs.ranking import Standing
from rlprune.support.files import plain_name, read_json
from rlprune.support.records import as_plain, as_record

SCHEMA = "rlprune-result/1"
MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, StopIteration, TypeError, ValueError)
"""What values that are each of their kind but do not belong together can lead to."""
DENSE, UNIFORM, FILLED, BASELINE, AGENT, LEARNED = "dense", "uniform", "filled", "baseline", "agent", "learned"
"""Roles. The agent is the method that a run is about; what is learned was decided by a learned policy by itself."""
UNSEARCHED = (UNIFORM, FILLED)
"""Methods that search nothing: they stand in every run."""
POLICY_ALONE = "policy"
"""Method and role of what a learned policy decides by itself at a budget of a range: one walk, no search."""
REWARDED = (*UNSEARCHED, BASELINE, AGENT)
SHORTEST_MS = 1e-9
"""Less than a tick of any clock; its reciprocal is still a number."""

Count = Annotated[int, Meta(ge=0)]
Numbers = list[float | int | None]
Told = dict[str, float | int | list[float | int | Numbers | None] | None]
"""A measure's name to a number, a list of them, or a matrix."""


class Row(Struct, frozen=True):
    """A network in the table.

    Attributes:
        name: dense, uniform, filled, or the method that found it.
        role: dense, uniform, filled, baseline, agent, learned (decided by a learned policy alone), policy or plan.
        score_validation: on all validation samples, as it is delivered.
        divergence: from the dense network's outputs on the same samples.
        macs: multiply-adds of one sample.
        params: parameters.
        size_bytes: of all tensors as stored, which is what a budget on size counts; the header of a file comes on top.
        widths: channels of each group.
        score_test: the task's metric on the test samples; None where they were not touched.
        latency_promised_ms: of one inference, as the profile predicts.
        latency_measured_ms: of the exported network, timed beside the other rows.
        latency_corrected_ms: the same with the machine's drift since the profile taken out.
        latency_p99_promised_ms, latency_p99_measured_ms: 99 of 100 inferences are at least as fast.
        energy_promised_mj: of one inference, as the profile predicts.
        energy_mj: of one inference: metered, else that of the latency as measured, else promised.
        energy_above_idle_mj: the same less what an idle device would use in that time; None where that is not known.
        peak_bytes: memory that one inference takes at most, weights included.
        batch: samples in one inference.
        reward: in the search; None where the row was not searched.
        evaluations: new plans that the method evaluated; None where nothing was searched.
        behind_low, behind_high: 95% interval of how far the validation score is behind the best one's of the table;
            None where it is not known.
        images_per_second: the speed as it is written.
    """

    name: str
    role: str
    score_validation: float
    divergence: float
    macs: float
    params: float
    size_bytes: int
    widths: tuple[int, ...]
    score_test: float | None = None
    latency_promised_ms: float | None = None
    latency_measured_ms: float | None = None
    latency_corrected_ms: float | None = None
    latency_p99_promised_ms: float | None = None
    latency_p99_measured_ms: float | None = None
    energy_promised_mj: float | None = None
    energy_mj: float | None = None
    energy_above_idle_mj: float | None = None
    peak_bytes: int | None = None
    batch: int = 1
    reward: float | None = None
    evaluations: int | None = None
    behind_low: float | None = None
    behind_high: float | None = None
    images_per_second: float | None = None

    def __post_init__(self) -> None:
        if self.latency_ms is not None and self.latency_ms < SHORTEST_MS:
            raise ValueError(f"a latency must be at least {SHORTEST_MS} ms; {self.latency_ms} came")
        if self.images_per_second is None:
            force_setattr(self, "images_per_second", self.speed)

    @property
    def speed(self) -> float | None:
        """S = 1/T in samples a second, for a batch of one; batch/T in general."""
        return None if self.latency_ms is None else 1e3 * self.batch / self.latency_ms

    @property
    def standing(self) -> Standing:
        """What the row is ranked by."""
        low, high = self.behind_low, self.behind_high
        behind = None if low is None or high is None else (low, high)
        return Standing(self.score_validation, self.divergence, behind)

    @property
    def latency_ms(self) -> float | None:
        """Measured where it was measured, else promised."""
        return self.latency_promised_ms if self.latency_measured_ms is None else self.latency_measured_ms


class StatedPoint(Row, frozen=True, kw_only=True):
    """What one method has at one budget of a range.

    Attributes:
        method: its name; "policy" is the learned policy by itself, one walk and no search.
        budget: as text.
        budget_cost: what the plan costs of what the budget limits, as promised.
    """

    method: str
    budget: str
    budget_cost: float

    @classmethod
    def of(cls, row: Row, method: str, budget: str, budget_cost: float) -> StatedPoint:
        """A network with its budget."""
        return cls(*astuple(row), method=method, budget=budget, budget_cost=budget_cost)

    @property
    def row(self) -> Row:
        """The same network under the name of its method."""
        values = {name: getattr(self, name) for name in Row.__struct_fields__}
        return Row(**{**values, "name": self.method})


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
    hypervolume: dict[str, float] = {}
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

    score: float
    divergence: float
    costs: dict[str, float]
    reward: float | None


class StatedFinalist(Struct, frozen=True):
    """A plan that was scored on all validation samples; ``behind`` as in :class:`Standing`."""

    widths: tuple[int, ...]
    reward: float | None
    score_validation: float
    divergence: float
    behind: tuple[float, float] | None = None

    @property
    def standing(self) -> Standing:
        """What it is ranked by."""
        return Standing(self.score_validation, self.divergence, self.behind)


class SearchCounts(Struct, frozen=True):
    """What a search took, and the best that it found on its own samples."""

    episodes: int
    evaluations: int
    cache_hits: int
    seconds: float
    inference_seconds: float
    best_reward: float


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

    evaluations: int
    wall_seconds: float
    cpu_seconds: float
    sessions: int
    energy_j: float | None
    energy_source: str


class ToldDetails(Struct, frozen=True):
    """What the task tells beside the score: of which measures less is better, and network, split and measure."""

    lower_is_better: list[str]
    networks: dict[str, dict[str, Told]]

    def __post_init__(self) -> None:
        known: dict[str, int] = {}
        for network, splits in self.networks.items():
            for split, told in splits.items():
                try:
                    as_record(told, ClassMeasures).check(known)
                except ValueError as reason:
                    raise ValueError(f"networks.{network}.{split}: {reason}") from reason

    def of(self, network: str, split: str) -> Any:
        """Measure to value, of a network; empty where nothing is told of it."""
        return self.networks.get(network, {}).get(split, {})

    def last_split(self, network: str) -> str:
        """The test where it was touched, else the validation."""
        return "test" if self.of(network, "test") else "validation"


class ClassMeasures(Struct, frozen=True):
    """Measures of each class, and which class was taken for which: a row a true class."""

    class_precision: list[float | None] | UnsetType = UNSET
    class_recall: list[float | None] | UnsetType = UNSET
    class_f1: list[float | None] | UnsetType = UNSET
    class_support: list[int] | UnsetType = UNSET
    confusion: list[list[Count]] | UnsetType = UNSET
    confused: list[tuple[int, int, int]] | UnsetType = UNSET

    def check(self, classes: dict[str, int]) -> None:
        """Refuse lists of other lengths than those before; ``classes`` keeps the count.

        Raises:
            ValueError: it says which.
        """
        of_classes = (self.class_precision, self.class_recall, self.class_f1, self.class_support, self.confusion)
        counts = {len(told) for told in of_classes if not isinstance(told, UnsetType)}
        if any(classes.setdefault("count", count) != count for count in counts):
            raise ValueError("all lists of classes must be as long as each other")
        if not isinstance(self.confusion, UnsetType) and any(len(line) not in counts for line in self.confusion):
            raise ValueError("confusion must be a square of counts")


class Surface(Struct, frozen=True):
    """Promised latency over the widths of two groups; ``paying`` are the widths that the profile allows."""

    groups: list[str]
    widths: list[list[int]]
    paying: list[list[int]]
    latency_ms: list[list[float]]


class MixedPlans(Struct, frozen=True):
    """Plans that drop blocks and compute in int8, as they were promised and measured, a list entry a plan."""

    error: ErrorSummary
    measured_ms: list[float]
    promised_ms: list[float]
    held_out: list[bool]
    dropped: list[int]
    int8: list[int]


class ProfilePlans(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the pictures of a device profile show; see :func:`rlprune.experiments.reports.profile_pictures`."""

    title: str
    error: ErrorSummary
    measured_ms: list[float]
    promised_ms: list[float]
    held_out: list[bool]
    energy_source: str
    energy_measured: bool
    energy_mj: list[float]
    metered_ms: list[float]
    metered_mj: list[float]
    surface: Surface
    mixes: MixedPlans | None = None


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
    network: str
    fingerprint: str | None = None
    weights: str | None = None
    task: str
    data: dict[str, str] | None = None
    metric: str
    agent: str
    episodes: int
    seed: int
    reward: str
    samples: int
    batchnorm: BatchNorms | None = None
    images: dict[str, int] | None = None
    budgets: list[str]
    limits: dict[str, float]
    device: dict[str, str | int | float | None] | None
    energy_source: str
    groups: Annotated[list[StatedChoice], Meta(min_length=1)]
    rows: list[Row]
    details: ToldDetails | None = None
    winner: str
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


def finalist_name(method: str, number: int) -> str:
    """What the file of a finalist's plan is called; the best has number 1."""
    return f"{method}-finalist{number}"
