"""What a plan says of one group, layer or block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rlprune.choices.choice import FULL_BITS, Kind
from rlprune.errors import PlanError, unknown_name


@dataclass(frozen=True)
class Decision:
    """What happens to one group, layer or block; None leaves it as it is.

    Attributes:
        keep_ratio: fraction of a group's channels kept, in (0, 1].
        density: fraction of the entries of a layer's weight that remain, a whole percent in (0, 1].
        bits: of an entry of a layer's weight: 4, 8, 16 or 32.
        activations: 8 where the layer computes in int8, its inputs rounded too; needs ``bits`` of at most 8.
        drop: whether a block is left out.

    Raises:
        PlanError: a value out of range, or values that contradict each other.
    """

    keep_ratio: float | None = None
    density: float | None = None
    bits: int | None = None
    activations: int | None = None
    drop: bool = False

    def __post_init__(self) -> None:
        for name in ("keep_ratio", "density"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value <= 1):
                raise PlanError(f"{name} must be a number in (0, 1]; {value!r:.80} came. {_instead_of_nothing(name)}")
        if self.density is not None and abs(self.density * 100 - round(self.density * 100)) > 1e-9:
            raise PlanError(f"density must be a whole percent, such as 0.35; {self.density!r} came. Round it.")
        if self.bits not in (None, 4, 8, 16, 32) or isinstance(self.bits, bool):
            raise PlanError(f"bits must be 4, 8, 16 or 32; {self.bits!r:.80} came.")
        if self.activations not in (None, 8) or isinstance(self.activations, bool):
            raise PlanError(f"activations must be 8 or be left out; {self.activations!r:.80} came.")
        if self.activations is not None and (self.bits is None or self.bits > 8):
            raise PlanError(
                f"A layer computes in int8 only where its weight has at most 8 bits; activations 8 came with bits "
                f"{self.bits}. Set bits to 8, or leave activations out."
            )
        if not isinstance(self.drop, bool):
            raise PlanError(f"drop must be true or false; {self.drop!r:.80} came.")
        if self.drop and (self.density is not None or self.bits is not None or self.keep_ratio not in (None, 1)):
            raise PlanError("What is dropped cannot be pruned or quantised as well. Leave one of the two out.")

    def stated(self) -> dict[str, Any]:
        """The decision as JSON holds it: what is not said is left out."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None and value is not False}

    @classmethod
    def of_levels(cls, levels: Mapping[Kind, int], keep_ratio: float | None, int8: bool) -> Decision:
        """What levels of the choices about one name say; the keep ratio is that of a group."""
        density, bits = levels.get("weights", 100), levels.get("bits", FULL_BITS)
        return cls(
            keep_ratio=keep_ratio,
            density=density / 100 if density < 100 else None,
            bits=bits if bits < FULL_BITS else None,
            activations=8 if int8 else None,
            drop=levels.get("depth", 1) == 0,
        )

    def level(self, kind: Kind, full: int) -> int:
        """The level that is stated of a kind other than channels; the full one where nothing is."""
        if kind == "depth":
            return 0 if self.drop else 1
        if kind == "weights":
            return full if self.density is None else round(self.density * 100)
        return full if self.bits is None else self.bits


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _instead_of_nothing(name: str) -> str:
    if name == "keep_ratio":
        return "Use 1 to keep everything."
    return "Use 1 to keep everything; to keep nothing, drop the block, or let go of the channels."


def read_decision(path: str | Path, name: str, item: Any) -> Decision:
    """The decision of one name, as a plan file holds it.

    Raises:
        PlanError: it is no such object; the file and the name are told.
    """
    known = [entry.name for entry in fields(Decision)]
    if not isinstance(item, dict) or not item:
        raise PlanError(
            f"{path}: the decision of {name!r} must be an object with 'keep_ratio' or others; {item!r:.80} came."
        )
    for key in item:
        if key not in known:
            raise PlanError(f"{path}, {name!r}: {unknown_name('decision', key, known)}")
        if item[key] is None:
            raise PlanError(f"{path}, {name!r}: {key} must have a value; null came. Leave it out.")
    try:
        return Decision(**item)
    except PlanError as reason:
        raise PlanError(f"{path}, {name!r}: {reason}") from reason
