"""Measures what dropped blocks and layers in int8 change, and adds it to a profile.

Probes compute layers in int8 at random widths, a third of them all layers and the others random runs of layers; further
plans mix widths and dropped blocks, half of them with such layers in int8. Then layers are measured in int8 as the fit
so far would choose them: it chooses what it promises too well, which only such plans show. The last are held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rlprune.arrays import IntArray
from rlprune.choices.choice import FULL_BITS, INT8_BITS, Kind
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.devices.profiles.int8.int8_model import Int8Rule
from rlprune.devices.profiles.mixed import MixedPlan, fit_mixed, int8_ratio
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.measuring import Effort, Stage, Timed
from rlprune.devices.profiling.partial import PartialProfile
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.runtimes.base import Runtime
from rlprune.devices.runtimes.checks import check_present
from rlprune.pruning.quantization import int8_layers

DROPS = 6
"""Different sets of dropped blocks that are measured: some runtimes export the network anew for each."""
PLANS, CHECKS, PROBES = 32, 12, 30
ROUNDS, CHOSEN = 3, 24
"""Times that chosen layers are measured before the last one, and plans each time."""
WHOLE = 1 / 3
"""Share of the plans in int8 that have all layers in int8."""
LENGTHS = (1, 2, 4, 8)
"""Mean lengths of runs of layers, in forward order."""


def decides_mixes(space: Space) -> bool:
    """Whether blocks are dropped or layers computed in few bits: what a profile of widths alone does not tell of."""
    return bool({"depth", "bits"} & set(space.kinds))


@dataclass(frozen=True)
class Mixes:
    """Rows of a space whose choices are channels, blocks, and layers with 8 or 32 bits.

    Attributes:
        space: of channels, depth and bits; what is not decided has no choice.
        layers: that may compute in int8.
    """

    space: Space
    layers: tuple[str, ...]

    @classmethod
    def of(cls, space: Space, profile: DeviceProfile, runtime: Runtime) -> Mixes:
        """What can be measured of the decisions of ``space`` on a runtime."""
        network = space.network.restricted(profile.widths)
        decided = [c.name for c in space.choices if c.kind == "bits"] if runtime.int8 else []
        layers = tuple(name for name in int8_layers(network) if name in decided)
        wanted: dict[Kind, bool] = {"channels": True, "depth": bool(space.blocks), "bits": bool(layers)}
        kinds = tuple(kind for kind, there in wanted.items() if there)
        others = [f"bits:{c.name}" for c in space.choices if c.kind == "bits" and c.name not in layers]
        exclude = others if layers else []
        decisions = Scope(kinds, bits=(INT8_BITS, FULL_BITS), exclude=exclude)
        return cls(Space(network, decisions, int8=layers, blocks=space.blocks), layers)

    def rows(self, count: int, seed: int, drop: bool) -> IntArray:
        """The dense network, and ``count`` random rows, the first of full widths; ``[count + 1, K]``.

        Args:
            drop: whether blocks are dropped and half of the rows are in float; else no block is, and all are in int8,
                the first with all layers.
        """
        space, random = self.space, np.random.default_rng(seed)
        widths = choose_plans(space.network, count, seed)
        rows = np.tile(space.full, (count + 1, 1))
        groups = {group.name: index for index, group in enumerate(space.network.groups)}
        drops = random.random((DROPS, len(space.blocks))) < 0.5
        for number, row in enumerate(rows[1:], start=1):
            dropped = dict(zip(space.blocks.names, drops[number % DROPS], strict=True)) if drop else {}
            in_int8 = self._in_int8(random, in_float=0.5 if drop else 0.0) if drop or number > 1 else self.layers
            for place, choice in enumerate(space.choices):
                if choice.kind == "channels":
                    row[place] = widths[(number - 1) % len(widths), groups[choice.name]]
                elif choice.kind == "depth":
                    row[place] = 0 if dropped.get(choice.name, False) else 1
                else:
                    row[place] = INT8_BITS if choice.name in in_int8 else FULL_BITS
        return space.canonical(rows)

    def _in_int8(self, random: np.random.Generator, in_float: float) -> tuple[str, ...]:
        """None with probability ``in_float``, else all, or runs of random length in turn with such in float."""
        if random.random() < in_float:
            return ()
        if random.random() < WHOLE:
            return self.layers
        switches = random.random(len(self.layers)) < 1 / random.choice(LENGTHS)
        inside = (np.cumsum(switches) + random.integers(2)) % 2 == 1
        return tuple(name for name, own in zip(self.layers, inside, strict=True) if own)

    def chosen(self, rule: Int8Rule, count: int, seed: int) -> IntArray:
        """The dense network, and ``count`` random rows without dropped blocks; ``[count + 1, K]``.

        Half of them have widths drawn one by one. Of their layers in int8 only those stay that the rule chooses.
        """
        space, rows, random = self.space, self.rows(count, seed, drop=False), np.random.default_rng([seed])
        for place, choice in enumerate(space.choices):
            if choice.kind == "channels":
                rows[2::2, place] = random.choice(choice.levels, count // 2)
        in_int8 = space.on(space.network, rule).in_int8(rows)
        names = [layer.name for layer in space.network.layers]
        for place, choice in enumerate(space.choices):
            if choice.kind == "bits":
                rows[:, place] = np.where(in_int8[:, names.index(choice.name)], INT8_BITS, FULL_BITS)
        return rows

    def plans(self, timed: Timed, scale: float, held_out: Sequence[bool]) -> list[MixedPlan]:
        """Rows that were measured, as records of the profile."""
        space = self.space
        return [
            MixedPlan(
                tuple(int(width) for width in space.widths(row[None])[0]),
                space.dropped(row),
                space.computed_in_int8(row),
                float(latency) * scale,
                bool(out),
            )
            for row, latency, out in zip(timed.plans, timed.latency_ms, held_out, strict=True)
        ]


def is_unfinished(profile: DeviceProfile, runtime: Runtime, effort: Effort, path: str | Path) -> bool:
    """Whether :func:`add_mixes` of this profile was interrupted, and what it measured stands at ``path``."""
    key = PartialProfile.key_at(path)
    mixes = key.get("mixes")
    same = isinstance(mixes, list) and mixes[:1] == [profile.created] and key.get("effort") == effort.key()
    return same and profile.runtime == runtime.identity


def add_mixes(
    profile: DeviceProfile,
    space: Space,
    runtime: Runtime,
    effort: Effort | None = None,
    *,
    path: str | Path | None = None,
    progress: bool = False,
) -> DeviceProfile:
    """The profile with what the blocks of ``space`` and its layers in int8 change, measured here.

    Args:
        profile: of the same network, device and runtime; latencies are scaled by the dense network.
        space: what may be decided; other kinds than depth and bits change no latency.
        path: where the profile is saved; what was measured goes on from there.
        progress: show bars on stderr.

    Raises:
        DeviceError: the runtime is absent, or stops answering.
        NetworkError: a shortened network cannot be exported.
        ProfileError: the profile is of another network, or ``path`` cannot be written.
    """
    effort = effort or Effort()
    check_present(runtime)
    profile.check(space.network)
    mixes = Mixes.of(space, profile, runtime)
    key = {
        "mixes": [profile.created, list(mixes.space.blocks.names), list(mixes.layers), PROBES],
        "effort": effort.key(),
    }
    stored = PartialProfile(path, key)
    stage = Stage(space.network, runtime, stored, effort, progress)

    def measured(phase: str, rows: IntArray, checks: int) -> list[MixedPlan]:
        timed = stage.measure(phase, rows, load=lambda row: runtime.load_mix(space.network, mixes.space, row))
        out = [number >= len(rows) - checks for number in range(len(rows))]
        return mixes.plans(timed, profile.dense_latency_ms / float(timed.latency_ms[0]), out)

    probed = measured("int8", mixes.rows(PROBES, effort.seed + 2, drop=False), 0) if mixes.layers else []
    rows = mixes.rows(PLANS + CHECKS, effort.seed + 3, drop=True)
    plans = [*probed, *measured("mixes", rows, CHECKS)]
    mixed = fit_mixed(mixes.space, profile.predictor, plans, mixes.layers)
    for number in range(ROUNDS + 1 if mixes.layers else 0):
        rows = mixes.chosen(mixed.rule(mixes.space, profile.predictor), CHOSEN, effort.seed + 4 + number)
        plans += measured(f"chosen {number}", rows, CHOSEN if number == ROUNDS else 0)
        mixed = fit_mixed(mixes.space, profile.predictor, plans, mixes.layers)
    mixed = replace(mixed, int8_ratio=int8_ratio(mixes.space.network, profile.predictor, probed))
    profile = replace(profile, mixed=mixed)
    if path is not None:
        profile.save(path)
    stored.remove()
    return profile
