"""What is decided about a network: choices of four kinds, each a few levels from harsh to untouched.

A plan is a row of levels, ``int64 [K]``, one for each choice. Costs never fall when a level rises; whatever searches,
walks or budgets plans needs to know no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from rlprune.arrays import BoolArray, IntArray

if TYPE_CHECKING:
    from rlprune.networks.groups import Group

Kind = Literal["depth", "channels", "weights", "bits"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which a plan is applied."""

DENSITIES = (2, 4, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)
"""Percent of a weight's entries that remain."""
BITS = (4, 8, 32)
FULL_BITS = 32
INT8_BITS = 8


@dataclass(frozen=True)
class Choice:
    """One entry of a plan.

    Attributes:
        name: of the group (channels), the layer (weights, bits) or the block (depth).
        kind: what is decided.
        levels: ascending; the last one changes nothing. Channels kept; percent of the entries kept; 0 dropped and 1
            kept; bits of an entry.
        unit: the layer at which it is decided.
    """

    name: str
    kind: Kind
    levels: tuple[int, ...]
    unit: str

    @classmethod
    def of_group(cls, group: Group) -> Choice:
        """The channels of a group."""
        return cls(group.name, "channels", group.widths, group.name)

    @property
    def full(self) -> int:
        """The level that changes nothing."""
        return self.levels[-1]

    @property
    def lowest(self) -> float:
        """Share of the harshest level."""
        return self.share(self.levels[0])

    def share(self, level: float) -> float:
        """A level as a fraction of the full one."""
        return level / self.full

    def level_at(self, share: float) -> int:
        """The level that a share asks for: the nearest one (of two equally near the lower); channels are rounded."""
        if self.kind == "channels":
            return round(share * self.full)
        return min(self.levels, key=lambda level: (abs(self.share(level) - share), level))

    def priority(self, level: int) -> float:
        """What a neutral plan gives back first when it has something to spend: the smaller number.

        Blocks come before anything else, then weights of eight bits; widths and densities rise together, and only then
        precision: eight bits harm least, and a layer of more cannot compute in int8.
        """
        if self.kind == "depth":
            return -1.0
        if self.kind == "bits":
            return 0.0 if level <= INT8_BITS else 1.0 + self.share(level)
        return self.share(level)


class Int8Where(Protocol):
    """Which layers of a network compute in int8, of those whose weights have at most 8 bits."""

    @property
    def names(self) -> frozenset[str]:
        """The layers that may."""
        ...

    def chosen(self, widths: IntArray, permitted: BoolArray, present: BoolArray) -> BoolArray:
        """Those of the layers ``permitted`` that do at widths ``[N, G]``; ``[N, L]``.

        Args:
            permitted: layers with at most 8 bits, ``[N, L]``.
            present: layers that are left, ``[N, L]``.
        """
        ...


@dataclass(frozen=True)
class Unit:
    """One step of an episode: what is decided about one layer.

    Attributes:
        name: of the layer.
        places: kind -> which choice it is.
    """

    name: str
    places: dict[Kind, int]
