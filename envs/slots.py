"""The slots of an observation: named entries that mean the same on every network.

Each slot is a logarithm over a fixed range or a fraction of this network, clipped to its bounds. None is scaled by the
smallest and largest value of the network at hand (as AMC's states are), and none is a name or an index, so a policy
learned on one network can be replayed on another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from rlprune.choices.choice import Kind
from rlprune.envs.actions import CHANNELS, Meaning

OBSERVATION_VERSION = 2
METRICS = ("macs", "params", "latency", "energy")
MIXED_METRICS = ("weights", "size")
CURVE_POINTS = 8  # the error curve is read at keep ratios 1/8 ... 7/8


@dataclass(frozen=True)
class Slot:
    """One entry of the observation: its name, what it means, and its bounds."""

    name: str
    meaning: str
    low: float = 0.0
    high: float = 1.0


STATIC_SLOTS: tuple[Slot, ...] = (
    Slot("position", "groups decided / groups"),
    Slot("group_count", "log2(groups) / 8"),
    Slot("is_conv", "1 if the first producer is a convolution"),
    Slot("is_linear", "1 if the first producer is a linear layer"),
    Slot("is_other", "1 if it is of another kind"),
    Slot("has_depthwise", "1 if a depthwise convolution follows the group"),
    Slot("is_shared", "1 if several layers produce the group (a residual sum)"),
    Slot("width", "log2(channels) / 12"),
    Slot("consumer_width", "log2(output channels of all consumers) / 12"),
    Slot("kernel", "kernel size of the first producer / 7"),
    Slot("stride", "stride of the first producer / 4"),
    Slot("positions", "log2(output positions of the first producer) / 16"),
    *(
        Slot(f"{m}_share", f"share of the dense {m} that the group's smallest width saves; 0 if unknown")
        for m in METRICS
    ),
    *(Slot(f"{m}_budget", f"limit on {m} / dense {m}; 1 if there is none") for m in METRICS),
    Slot("lowest_keep", "smallest allowed keep ratio"),
    Slot("uniform_keep", "keep ratio of the filled plan here"),
    *(
        Slot(
            f"error_at_{k}_{CURVE_POINTS}",
            f"reconstruction error at keep ratio {k}/{CURVE_POINTS}: 1 + log10(error + 1e-4) / 4",
        )
        for k in range(1, CURVE_POINTS)
    ),
    Slot("error_at_uniform", "the same at the filled plan's width"),
    Slot("error_above_mean", "error_at_uniform minus its mean over the groups", -1.0),
)
DYNAMIC_SLOTS: tuple[Slot, ...] = (
    *(Slot(f"{m}_cheapest", f"log2({m} with the rest at its minimum / limit or dense {m}) / 6", -1.0) for m in METRICS),
    *(Slot(f"{m}_dearest", f"log2({m} with the rest at full width / limit or dense {m}) / 6", -1.0) for m in METRICS),
    Slot("tightest_cheapest", "the largest of the cheapest slots that have a limit", -1.0),
    Slot("tightest_dearest", "the largest of the dearest slots that have a limit", -1.0),
    Slot("planned_keep", "keep ratio here in the plan that would follow the decisions so far"),
    Slot("lowest_option", "smallest keep ratio here from which the budgets can be met and used"),
    Slot("highest_option", "largest keep ratio here from which the budgets can be met and used"),
    Slot("previous_action", "the executed action of the previous group, 0 at first", -1.0),
    Slot("previous_keep", "the executed keep ratio of the previous group, 1 at first"),
)


def mixed_static(kinds: Sequence[Kind]) -> list[Slot]:
    """Further static slots where more than channels is decided."""
    slots = [Slot(f"{m}_share", f"share of the dense {m} that the harshest levels here save") for m in MIXED_METRICS]
    slots += [Slot(f"{m}_budget", f"limit on {m} / dense {m}; 1 if there is none") for m in MIXED_METRICS]
    for kind in kinds:
        slots += [
            Slot(f"{kind}_here", f"1 if {kind} is decided here"),
            Slot(f"{kind}_lowest", f"share of the harshest level of {kind}; 1 where it is not decided"),
            Slot(f"{kind}_uniform", f"share of the filled plan's level of {kind}; 1 where it is not decided"),
            Slot(f"{kind}_error_lowest", f"what the harshest level of {kind} loses alone: 1 + log10(error + 1e-4) / 4"),
            Slot(f"{kind}_error_uniform", f"the same at the filled plan's level of {kind}"),
        ]
    return slots


def mixed_dynamic(kinds: Sequence[Kind]) -> list[Slot]:
    """Further dynamic slots where more than channels is decided."""
    slots = []
    for end, rest in (("cheapest", "at its minimum"), ("dearest", "untouched")):
        slots += [
            Slot(f"{m}_{end}", f"log2({m} with the rest {rest} / limit or dense {m}) / 6", -1.0) for m in MIXED_METRICS
        ]
    for kind in kinds:
        slots += [
            Slot(f"{kind}_planned", f"share of {kind} here in the plan that would follow the decisions so far"),
            Slot(f"{kind}_previous", f"share of {kind} that was executed last, 1 at first"),
        ]
    return slots


def probe_slots(kinds: Sequence[Kind]) -> list[Slot]:
    """What was measured of each choice alone, and the reference: the plan that the probes give at these budgets."""
    slots = []
    for kind in kinds:
        slots += [
            Slot(f"{kind}_probe", f"log10(loss of half of {kind} alone / geometric mean over the choices) / 4", -1.0),
            Slot(f"{kind}_probe_rise", f"log10(loss of a quarter of {kind} / loss of half) / 4", -1.0),
            Slot(f"{kind}_loss_share", f"share of the reference's expected loss that its {kind} has here"),
            Slot(f"{kind}_reference", f"share of {kind} here in the reference; 1 where it is not decided"),
            Slot(f"{kind}_gain_up", "log10(loss per cost that a level more saves / geometric mean) / 4", -1.0),
            Slot(f"{kind}_gain_down", "log10(loss per cost that a level less adds / geometric mean) / 4", -1.0),
        ]
    return slots


def slots_of(kinds: Sequence[Kind] = CHANNELS, meaning: Meaning = "ratio") -> tuple[Slot, ...]:
    """The entries of an observation, for what is decided and for what actions mean."""
    mixed = tuple(kinds) != CHANNELS
    static = (*STATIC_SLOTS, *(mixed_static(kinds) if mixed else ()), *probe_slots(kinds))
    if meaning == "price":
        return (
            *static,
            *(Slot(f"{kind}_previous_price", f"the last price of {kind}, 0 at first", -1.0) for kind in kinds),
        )
    return (*static, *DYNAMIC_SLOTS, *(mixed_dynamic(kinds) if mixed else ()))


def observation_space(kinds: Sequence[Kind] = CHANNELS, meaning: Meaning = "ratio") -> spaces.Box:
    """The box of observations: an entry for each slot, with the slot's bounds."""
    low, high = np.array([(slot.low, slot.high) for slot in slots_of(kinds, meaning)], dtype=np.float32).T
    return spaces.Box(low, high, dtype=np.float32)


def observation_table(kinds: Sequence[Kind] = CHANNELS, meaning: Meaning = "ratio") -> str:
    """All slots of an observation as a text table for people."""
    rows = [("Num", "Slot", "Meaning", "Min", "Max")]
    rows += [(str(n), s.name, s.meaning, f"{s.low:g}", f"{s.high:g}") for n, s in enumerate(slots_of(kinds, meaning))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
