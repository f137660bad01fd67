"""Groups of channels, and which widths each may have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from rlprune.arrays import IntArray
from rlprune.errors import NetworkError, nearest
from rlprune.networks.couplings import Coupling, Member
from rlprune.networks.layers import LabelledLayer
from rlprune.support.patterns import matches

Number = TypeVar("Number", int, float)
CHOICES_AT_LEAST = 4
MULTIPLIED = ("conv", "transposed", "depthwise", "linear")
PRODUCERS = ("conv", "transposed", "linear", "embedding")


@dataclass(frozen=True, eq=False)
class Group:
    """Layers that must lose the same channels together.

    Attributes:
        name: the first layer, in forward order, that produces these channels.
        width: channels of the dense network; for heads and the like, their number.
        widths: allowed channel counts, ascending; the last is ``width``.
        producers: layers whose output channels these are (several where a residual sum joins them).
        consumers: layers that read them.
        followers: depthwise convolutions, normalisations and the like that carry them along.
        members: where the channels stand in each of those layers.
        renormalizes: modules that take a statistic over these channels; it changes when some of them go.
        roots: the joined atom of each channel.
        unit: positions that one channel takes where it takes the fewest: the features of a head, 1 for most.
    """

    name: str
    width: int
    widths: tuple[int, ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    followers: tuple[str, ...]
    members: tuple[Member, ...]
    renormalizes: tuple[str, ...] = ()
    roots: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    unit: int = 1

    @property
    def weighted(self) -> tuple[Member, ...]:
        """Members on a side along which tensors are cut; a product that is only repeated has none."""
        return tuple(member for member in self.members if member.side != "repeated")


@dataclass(frozen=True)
class GroupRules:
    """What a user asks of the groups; patterns match layer names (``layer3.*``, ``head``) and all below them.

    Attributes:
        ignore: groups whose channels one of these layers produces or carries stay whole.
        only: where given, groups whose channels none of these layers produces or carries stay whole.
        multiple: widths are rounded to multiples of this; a number, or pattern -> number with ``*`` for the rest.
        minimum: smallest keep ratio, in [0, 1]; a number, or pattern -> number.
    """

    ignore: Sequence[str] = ()
    only: Sequence[str] = ()
    multiple: int | Mapping[str, int] = 8
    minimum: float | Mapping[str, float] = 0.0

    def check(self, names: Iterable[str]) -> None:
        """Refuse patterns that match no layer, and numbers out of range.

        Raises:
            NetworkError: says which.
        """
        known = list(names)
        asked: dict[str, Iterable[str]] = {"ignore": self.ignore, "only": self.only}
        for what, given in (("multiple", self.multiple), ("minimum", self.minimum)):
            asked[what] = given if isinstance(given, Mapping) else ()
        for what, patterns in asked.items():
            if isinstance(patterns, str):
                raise NetworkError(
                    f"{what}= must be a list of layer names or patterns; the text {patterns!r} came. Write "
                    f"[{patterns!r}]."
                )
            for pattern in patterns:
                if not any(matches(name, pattern) for name in known):
                    raise NetworkError(
                        f"What {what} names must be layers of the network; nothing matches {pattern!r}."
                        f"{nearest(pattern, known)} `rlprune inspect` lists them."
                    )
        for multiple in _values(self.multiple):
            if isinstance(multiple, bool) or not isinstance(multiple, int) or multiple < 1:
                raise NetworkError(f"The width multiple must be at least 1; {multiple!r} came.")
        for minimum in _values(self.minimum):
            if isinstance(minimum, bool) or not isinstance(minimum, int | float) or not 0 <= minimum <= 1:
                raise NetworkError(f"minimum= must be keep ratios in [0, 1]; {minimum!r} came.")

    def obstacle(self, layers: Sequence[str]) -> str | None:
        """Why a group whose channels come out of these layers stays whole, as asked, or None."""
        for name in layers:
            if any(matches(name, pattern) for pattern in self.ignore):
                return f"{name} is ignored, as asked"
        if self.only and not any(matches(name, pattern) for name in layers for pattern in self.only):
            return "it is not among the layers asked for"
        return None

    def widths(self, width: int, unit: int, layers: Sequence[str]) -> tuple[int, ...]:
        """Allowed widths of a group; ``unit`` positions go with each channel."""
        multiple = _looked_up(self.multiple, layers, 8)
        least = math.ceil(_looked_up(self.minimum, layers, 0.0) * width - 1e-9)
        allowed = allowed_widths(width, max(1, multiple // math.gcd(multiple, unit)))
        return tuple(each for each in allowed if each >= least)


def _values(given: object) -> list[object]:
    return list(given.values()) if isinstance(given, Mapping) else [given]


def _looked_up(given: Number | Mapping[str, Number], layers: Sequence[str], default: Number) -> Number:
    """The largest value among those of the patterns that match; ``*`` counts only where no other does."""
    if not isinstance(given, Mapping):
        return given
    hits = [value for pattern, value in given.items() for name in layers if pattern != "*" and matches(name, pattern)]
    return max(hits) if hits else given.get("*", default)


def allowed_widths(width: int, multiple: int) -> tuple[int, ...]:
    """Channel counts a group may have: multiples of ``multiple``, finer where the group is narrow, and ``width``.

    The step is halved until at least four choices remain, so a group of 16 has 4, 8, 12, 16 at a multiple of 8.
    """
    step = multiple
    while step > 1 and width < CHOICES_AT_LEAST * step:
        step //= 2
    return tuple(sorted({*range(step, width, step), width}))


def make_groups(
    couplings: Sequence[Coupling], layers: Sequence[LabelledLayer], rules: GroupRules,
    renormalized: Sequence[tuple[str, IntArray]],
) -> tuple[tuple[Group, ...], dict[str, str]]:  # fmt: skip
    """Groups in forward order, and why the producers of the other couplings stay whole.

    Args:
        renormalized: module and joined atoms of each statistic taken over channels.
    """
    order = {item.layer.name: index for index, item in enumerate(layers)}
    kinds = {item.layer.name: item.layer.kind for item in layers}
    groups: list[Group] = []
    whole: dict[str, str] = {}
    for coupling in couplings:
        members = sorted(coupling.members, key=lambda m: (order[m.layer], m.side))
        outs = [m.layer for m in members if m.side == "out"]
        producers = tuple(name for name in outs if kinds[name] in PRODUCERS)
        if not producers:
            continue
        alone = "it has one channel only" if coupling.width < 2 else None
        obstacle = coupling.obstacle or alone or rules.obstacle(outs)
        if obstacle:
            whole |= {name: obstacle for name in producers if name not in whole}
            continue
        readers = tuple(m.layer for m in members if m.side == "in" and kinds[m.layer] not in ("product", "scale"))
        passed = {m.layer: None for m in members if m.layer not in (*producers, *readers) and m.side != "repeated"}
        multiplied = [m.slots.shape[0] for m in members if kinds[m.layer] in MULTIPLIED and m.side != "repeated"]
        unit = min(multiplied, default=1)
        own = set(coupling.roots.tolist())
        groups.append(
            Group(
                name=producers[0],
                width=coupling.width,
                widths=rules.widths(coupling.width, unit, outs),
                producers=producers,
                consumers=readers,
                followers=tuple(name for name in passed if kinds[name] != "product"),
                members=tuple(members),
                renormalizes=tuple(sorted({place for place, roots in renormalized if own & set(roots.tolist())})),
                roots=coupling.roots,
                unit=unit,
            )
        )
    grouped = {name for group in groups for name in group.producers}
    groups.sort(key=lambda group: (order[group.name], int(group.members[0].slots.min())))
    return tuple(_distinct(groups)), {name: why for name, why in whole.items() if name not in grouped}


def _distinct(groups: Sequence[Group]) -> list[Group]:
    """Several groups may start in one layer; all but the first get the name ``layer#2`` and so on."""
    seen: dict[str, int] = {}
    result = []
    for group in groups:
        seen[group.name] = number = seen.get(group.name, 0) + 1
        result.append(group if number == 1 else replace(group, name=f"{group.name}#{number}"))
    return result
