"""A front: plans between two to five objectives, those that no other one beats, their volume and their knee."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.errors import RunError
from rlprune.evaluation.pareto import FLAT, Knee, contributions, hypervolume, knee, repeated_columns, undominated
from rlprune.experiments.fronting.evaluated_plans import EvaluatedPlan
from rlprune.experiments.fronting.objectives import losses_of, reference_of

MOST_BEST = {2: 3_000, 3: 600, 4: 300, 5: 100}
"""Plans of a front whose volume is computed, by objectives: it takes seconds for so many, and much longer for more."""


@dataclass(frozen=True, eq=False)
class Front:
    """Plans that came about in the same way.

    Attributes:
        kind: ``measured`` (scored on all validation samples, timed where it could be) or ``searched`` (scored on the
            samples of the search, costs as promised).
        objectives: their names.
        plans: all of them, beaten ones too; each knows every objective.
        left_out: how many do not.
    """

    kind: str
    objectives: tuple[str, ...]
    plans: list[EvaluatedPlan]
    left_out: int = 0

    @classmethod
    def of(cls, kind: str, plans: Sequence[EvaluatedPlan], names: tuple[str, ...]) -> Front:
        """The front of those of ``plans`` that know every one of the objectives ``names``.

        Raises:
            RunError: no plan knows them.
        """
        fitting = [plan for plan in plans if all(map(plan.knows, names))]
        if not fitting:
            raise RunError(
                f"A front needs plans of which {', '.join(names)} are known; none of the {len(plans)} {kind} ones is "
                "one. Name other objectives, or runs with a device."
            )
        return cls(kind, names, fitting, len(plans) - len(fitting))

    @cached_property
    def losses(self) -> FloatArray:
        """``[N, M]``: see :meth:`rlprune.experiments.fronting.objectives.Objective.loss`."""
        rows = [losses_of(self.objectives, plan.values, plan.dense) for plan in self.plans]
        return np.array(rows, dtype=np.float64)

    @cached_property
    def best(self) -> IntArray:
        """The plans that no other one beats; of equal ones the first."""
        return undominated(self.losses)

    @cached_property
    def best_rows(self) -> frozenset[int]:
        """The same, to ask for single ones."""
        return frozenset(self.best.tolist())

    @cached_property
    def knee(self) -> Knee:
        """Where the front bends most; ``row`` is a place in ``plans``."""
        found = knee(self.losses[self.best])
        return replace(found, row=int(self.best[found.row]))

    @property
    def countable(self) -> bool:
        """Whether the front is small enough for its exact volume."""
        return len(self.best) <= MOST_BEST[len(self.objectives)]

    @cached_property
    def volume(self) -> float | None:
        """Hypervolume; None where the front is too large."""
        return hypervolume(self.losses[self.best], self._reference) if self.countable else None

    @cached_property
    def contributions(self) -> dict[int, float]:
        """Place of each best plan in ``plans`` to what the volume would lose without it."""
        if not self.countable:
            return {}
        alone = contributions(self.losses[self.best], self._reference)
        return dict(zip(self.best.tolist(), alone.tolist(), strict=True))

    def volumes(self, group: Callable[[EvaluatedPlan], str]) -> dict[str, float | None]:
        """The hypervolume of each group of plans by itself."""
        groups: dict[str, list[EvaluatedPlan]] = {}
        for plan in self.plans:
            groups.setdefault(group(plan), []).append(plan)
        return {name: Front(self.kind, self.objectives, plans).volume for name, plans in groups.items()}

    @property
    def _reference(self) -> FloatArray:
        return reference_of(self.objectives)

    @cached_property
    def repeated(self) -> list[tuple[str, str]]:
        """Objectives that say the same as an earlier one, and that one: energy of a stated power, say."""
        pairs = repeated_columns(self.losses).items()
        return [(self.objectives[later], self.objectives[first]) for later, first in pairs]

    def notes(self) -> list[str]:
        """What a reader must know of these figures."""
        found = [
            f"In every plan {later} is proportional to {first}: it tells nothing that {first} does not, and the knee "
            "leaves it out."
            for later, first in self.repeated
        ]
        if self.left_out:
            found.append(f"{self.left_out} {self.kind} plans are left out: an objective is not known of them.")
        if not self.countable:
            found.append(
                f"The {self.kind} front has {len(self.best)} plans in {len(self.objectives)} objectives: too many for "
                "its exact hypervolume."
            )
        if self.knee.distance <= FLAT:
            found.append(
                f"The {self.kind} front bends nowhere towards the ideal: its knee is the plan of least total loss."
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "objectives": list(self.objectives),
            "plans": len(self.plans),
            "hypervolume": {
                "all": self.volume,
                "runs": self.volumes(lambda plan: plan.run.path),
                "methods": self.volumes(lambda plan: plan.method),
            },
            "knee": self.plans[self.knee.row].as_dict() | {"distance": self.knee.distance},
            "best": [
                self.plans[row].as_dict() | {"hypervolume_alone": self.contributions.get(row)}
                for row in self.best.tolist()
            ],
        }
