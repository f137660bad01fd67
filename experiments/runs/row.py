"""A line of the table at the end: what a network is worth and what it costs."""

from __future__ import annotations

import functools
from typing import Annotated

from msgspec import Struct
from msgspec.structs import astuple, force_setattr

from rlprune.experiments.runs.checked import Checked, Within
from rlprune.experiments.runs.ranking import Standing

DENSE, UNIFORM, FILLED, BASELINE, AGENT, LEARNED = "dense", "uniform", "filled", "baseline", "agent", "learned"
"""Roles. The agent is the method that a run is about; what is learned was decided by a learned policy by itself."""
PROBE = "probe"
UNSEARCHED = (UNIFORM, FILLED, PROBE)
"""Methods that search nothing: they stand in every run."""
POLICY_ALONE = "policy"
"""Method and role of what a learned policy decides by itself: one walk, no search."""
REWARDED = (*UNSEARCHED, BASELINE, AGENT)
CHOSEN = "of dense all, of uniform and filled the planner's, of a method those of its best finalist"
"""Where the channels of a row come from."""
SHORTEST_MS = 1e-9
"""Less than a tick of any clock; its reciprocal is still a number."""

Promised = functools.partial(Checked, within=Within.SUMS, needs_profile=True)


class Row(Struct, frozen=True):
    """A network in the table.

    Attributes:
        name: dense, uniform, filled, or the method that found it.
        role: dense, uniform, filled, probe, baseline, agent, policy or learned (decided by a learned policy alone; the
            latter in a replay), or plan.
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
        costs: by column, those of :data:`rlprune.costs.registry.METRICS` that no field tells; promised where timed.
    """

    name: str
    role: str
    score_validation: Annotated[float, Checked("validation score", Within.VALIDATION_SCORE)]
    divergence: Annotated[float, Checked("divergence", Within.DIVERGENCE)]
    macs: Annotated[float, Checked("macs")]
    params: Annotated[float, Checked("params")]
    size_bytes: Annotated[int, Checked("size_bytes")]
    widths: Annotated[tuple[int, ...], Checked("channels", why=CHOSEN)]
    score_test: Annotated[float | None, Checked("test score", Within.TEST_SCORE)] = None
    latency_promised_ms: Annotated[float | None, Promised("promised latency, ms")] = None
    latency_measured_ms: float | None = None
    latency_corrected_ms: float | None = None
    latency_p99_promised_ms: Annotated[float | None, Promised("promised p99 latency, ms")] = None
    latency_p99_measured_ms: float | None = None
    energy_promised_mj: Annotated[float | None, Promised("promised energy, mJ")] = None
    energy_mj: float | None = None
    energy_above_idle_mj: float | None = None
    peak_bytes: int | None = None
    batch: int = 1
    reward: Annotated[float | None, Checked("reward", Within.REWARD, needs_profile=True)] = None
    evaluations: Annotated[int | None, Checked("evaluations are the search's", since_later=True)] = None
    behind_low: Annotated[float | None, Checked("behind_low", Within.VALIDATION_SCORE, since_later=True)] = None
    behind_high: Annotated[float | None, Checked("behind_high", Within.VALIDATION_SCORE, since_later=True)] = None
    images_per_second: float | None = None
    costs: Annotated[dict[str, float], Checked("", Within.SUMS, needs_profile=True, since_later=True)] = {}

    def __post_init__(self) -> None:
        if self.latency_ms is not None and self.latency_ms < SHORTEST_MS:
            raise ValueError(f"a latency must be at least {SHORTEST_MS} ms; {self.latency_ms} came")
        if self.images_per_second is None:
            force_setattr(self, "images_per_second", self.speed)

    @property
    def speed(self) -> float | None:
        """S = 1/T in samples a second, for a batch of one; batch/T in general."""
        return None if self.latency_ms is None else 1e3 * self.batch / self.latency_ms

    def value(self, name: str) -> float | None:
        """A field, or a cost without one; None where it is not known."""
        found = self.costs.get(name)
        return getattr(self, name, None) if found is None else found

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


def finalist_name(method: str, number: int) -> str:
    """What the file of a finalist's plan is called; the best has number 1."""
    return f"{method}-finalist{number}"
