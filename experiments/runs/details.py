"""What tasks tell beside the score, as results hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from rlprune.evaluation.quality import Quality
from rlprune.support.records import as_record
from rlprune.tasks.base import Task
from rlprune.tasks.measures import Details

Splits = Mapping[str, Details]
"""Name of a split to the details on it."""
Count = Annotated[int, Meta(ge=0)]
Numbers = list[float | int | None]
Told = dict[str, float | int | list[float | int | Numbers | None] | None]
"""A measure's name to a number, a list of them, or a matrix."""


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

    def of(self, network: str, split: str) -> Details:
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


def details_of(task: Task, networks: Mapping[str, Splits]) -> ToldDetails:
    """Details of each network on each split, and of which of them less is better."""
    told = {name for splits in networks.values() for details in splits.values() for name in details}
    return ToldDetails(sorted(told & task.lower_is_better), {name: dict(splits) for name, splits in networks.items()})


def splits_of(validation: Quality, test: Details | None) -> dict[str, Details]:
    """Details by split; without the test samples where they were not touched."""
    return {"validation": validation.details, **({} if test is None else {"test": test})}
