"""Which layers int8 pays for when only some compute in it: sets of layers, and what a profile promises of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rlprune.arrays import IntArray
from rlprune.choices.choice import INT8_BITS
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.costs import LatencyCost
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.experiments.benchmarks.harness import Rows
from rlprune.experiments.presenting.document import Table
from rlprune.networks.network import Network
from rlprune.pruning.quantization import int8_layers

RANDOM = 16
"""Random sets: half of them runs of layers, half drawn layer by layer."""
ONE = "one"


@dataclass(frozen=True)
class LayerSet:
    """Layers in int8, by a name; ``promised_ms`` where there is a profile."""

    name: str
    layers: tuple[str, ...]
    promised_ms: float | None = None


def layer_sets(network: Network, profile: DeviceProfile | None, seed: int) -> list[LayerSet]:
    """No layer first, then parts of them, random sets, each layer alone, and what the profile would choose."""
    sets = drawn_sets(int8_layers(network), seed)
    if profile is None or profile.mixed is None or not profile.mixed.layers:
        return sets
    space = profile.restrict(Space(network, Scope(("channels", "bits"))))
    lowest = [min(INT8_BITS, choice.full) if choice.kind == "bits" else choice.full for choice in space.choices]
    row = np.array(lowest, dtype=np.int64)
    sets.append(LayerSet("chosen", space.computed_in_int8(row)))
    spaces = [space.on(space.network, int8=each.layers) for each in sets]
    promised = [float(LatencyCost(each, profile)(row[None])[0]) for each in spaces]
    return [replace(each, promised_ms=ms) for each, ms in zip(sets, promised, strict=True)]


def drawn_sets(layers: Sequence[str], seed: int) -> list[LayerSet]:
    """Those that need no profile."""
    middle = layers[len(layers) // 2]
    fixed = {
        "none": (),
        "all": layers,
        "all but the first": layers[1:],
        "all but the last": layers[:-1],
        "all but both": layers[1:-1],
        "all but one in the middle": [name for name in layers if name != middle],
        "the first half": layers[: len(layers) // 2],
        "the second half": layers[len(layers) // 2 :],
    }
    random = np.random.default_rng(seed)
    masks = [_mask(random, len(layers), runs=number % 2 == 0) for number in range(RANDOM)]
    drawn = [tuple(name for name, own in zip(layers, mask, strict=True) if own) for mask in masks]
    return [
        *(LayerSet(name, tuple(own)) for name, own in fixed.items()),
        *(LayerSet("random", own) for own in drawn),
        *(LayerSet(ONE, (name,)) for name in layers),
    ]


def _mask(random: np.random.Generator, count: int, runs: bool) -> IntArray:
    switches = random.random(count) < random.choice([1.0, 0.5, 0.25]) if runs else random.integers(0, 2, count)
    return np.asarray((np.cumsum(switches) + random.integers(2)) % 2 if runs else switches, dtype=np.int64)


def shown(rows: Rows) -> Table:
    """A line for each set of one network; of layers alone, the best one."""
    base, promised = rows[0]["measured_ms"], rows[0]["promised_ms"]
    alone = min((row for row in rows if row["name"] == ONE), key=lambda row: float(row["measured_ms"]))
    told = [*(row for row in rows if row["name"] != ONE), {**alone, "name": "the best one alone"}]
    lines = [
        [row["name"], str(len(row["layers"])), f"{row['measured_ms'] / base:.2f}",
         "-" if promised is None else f"{row['promised_ms'] / promised:.2f}"]
        for row in told
    ]  # fmt: skip
    return Table(["layers in int8", "how many", "measured", "promised"], lines)


def error_text(rows: Rows) -> Iterator[str]:
    """How far the promises of all sets are off, where a profile made them."""
    base, promised = rows[0]["measured_ms"], rows[0]["promised_ms"]
    if promised is not None:
        errors = [abs(row["promised_ms"] / promised / (row["measured_ms"] / base) - 1) for row in rows[1:]]
        yield f"Error of the promise: median {np.median(errors):.1%}, worst {max(errors):.1%}."
