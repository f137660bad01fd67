"""What was measured of one network on one device and runtime: predicts latency and energy, states its own error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from rlprune.arrays import IntArray
from rlprune.choices.space import Space
from rlprune.devices.profiles.digest import sealed
from rlprune.devices.profiles.mixed import MixedLatency
from rlprune.devices.profiles.predictor import LatencyPredictor
from rlprune.devices.profiles.profile_json import read_profile
from rlprune.devices.profiles.records import (
    EnergyModel,
    EnergyReading,
    ErrorSummary,
    MeasuredPlan,
    MeasuringPass,
    TailModel,
    Widths,
)
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.errors import ProfileError
from rlprune.networks.network import Network
from rlprune.support.files import read_json, write_json
from rlprune.support.records import Positive, Whole

SCHEMA = "rlprune-device-profile/2"
Basis = Literal["network", "layers"]
BUSY = 0.1
"""Cores of other programs from which on a measurement is called disturbed."""


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """Latency and energy of one network on one device.

    >>> from rlprune.costs import LatencyCost
    >>> from rlprune.devices import resolve_device
    >>> profile = resolve_device("ready:epyc-onnxruntime").source.for_network(network)
    >>> fits = network.restricted(profile.widths)  # the widths that pay there
    >>> latency_ms = LatencyCost(fits, profile)(fits.dense_widths)
    >>> bool(abs(latency_ms[0] / profile.dense_latency_ms - 1) < 1e-6)
    True

    Attributes:
        device: processor or GPU, for people to read.
        os: operating system.
        estimator: how a latency was made of samples.
        created: ISO 8601, UTC.
        fingerprint: of the network; see :class:`rlprune.networks.network.Network`.
        dense_latency_ms: latency of the dense network, one inference of ``runtime.batch`` samples.
        seed: of the choice and order of plans.
        basis: ``network`` where this network was measured, ``layers`` where it was put together from its layers.
        notes: what a user of the profile must know, in sentences.
        runtime: library, version, provider, threads, batch, precision, warm-up.
        energy: millijoules of any plan.
        held_out: errors on plans the fit never saw; of a profile made of layers, on networks it never saw.
        cross_validated: errors on the fitted plans, each left out in turn.
        tails: name of a quantile (``p50``, ``p95``, ``p99``) -> its line.
        sessions: the passes in which it was measured; the first, and one for each extension.
        widths: group name -> allowed channel counts, those that pay on this runtime; the last is the dense width.
        predictor: latency of any plan.
        measured: every plan that was timed, so that a predictor can be fitted again.
        readings: every plan that was put under a meter.
        mixed: how dropped blocks and layers in int8 change the latency, where that was measured.
    """

    device: str
    os: str
    estimator: str
    created: str
    fingerprint: str
    dense_latency_ms: Positive
    seed: Whole
    basis: Basis
    notes: tuple[str, ...]
    runtime: RuntimeIdentity
    energy: EnergyModel
    held_out: ErrorSummary
    cross_validated: ErrorSummary
    tails: dict[str, TailModel]
    sessions: Annotated[tuple[MeasuringPass, ...], Meta(min_length=1)]
    widths: Annotated[dict[str, Widths], Meta(min_length=1)]
    predictor: LatencyPredictor
    measured: tuple[MeasuredPlan, ...]
    readings: tuple[EnergyReading, ...]
    mixed: MixedLatency | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be true of values that are each of their kind."""
        for name, widths in self.widths.items():
            if list(widths) != sorted(set(widths)):
                raise ValueError(f"widths of {name!r} must rise; {list(widths)!r:.80} came")
        mixes = () if self.mixed is None else self.mixed.measured
        plans = [*(p.widths for p in self.measured), *(p.widths for p in self.readings), *(p.widths for p in mixes)]
        if any(len(widths) != len(self.widths) for widths in plans):
            raise ValueError(f"every measured plan must have {len(self.widths)} widths")
        if any(plan.session >= len(self.sessions) for plan in self.measured):
            raise ValueError(f"every measured plan must be of one of the {len(self.sessions)} sessions")

    @property
    def spread(self) -> float:
        """How far two halves of a pass disagree, in the worst pass: 95 of 100 plans agree better."""
        return max(session.spread for session in self.sessions)

    @property
    def settled(self) -> bool:
        """Whether every pass reached the bound it was given."""
        return all(session.settled for session in self.sessions)

    @property
    def fitted(self) -> int:
        """Plans the predictor was fitted to."""
        return sum(not plan.held_out for plan in self.measured)

    @property
    def samples(self) -> int:
        """Samples of each plan, in the pass that took fewest."""
        return min(session.samples for session in self.sessions)

    def warnings(self, device: str | None = None) -> list[str]:
        """What whoever relies on the profile must be told, in sentences.

        Args:
            device: the machine that asks; a profile of another one says so.
        """
        found = list(self.notes)
        if device is not None and device != self.device:
            found.append(f"The profile describes {self.device}; this machine is {device}.")
        for session in self.sessions:
            if not session.settled:
                found.append(
                    f"The profile is noisy: two halves of its measurement differ by {session.spread:.1%}, "
                    f"{session.bound:.1%} was asked for. Measure it again on a quieter machine."
                )
            if session.other_load is not None and session.other_load > BUSY:
                found.append(f"Other programs kept {session.other_load:.1f} cores busy while the profile was measured.")
        if not self.energy.measured:
            found.append(f"Energy is not measured: {self.energy.source}.")
        return list(dict.fromkeys(found))

    def lowest(self) -> IntArray:
        """Narrowest width of each group that the promise rests on, ``int64 [G]``."""
        if not self.measured:
            return np.array([widths[0] for widths in self.widths.values()], dtype=np.int64)
        return np.asarray(np.array([plan.widths for plan in self.measured], dtype=np.int64).min(axis=0))

    def check(self, network: Network) -> None:
        """Make sure the profile was measured on ``network``.

        Raises:
            ProfileError: it was not (the first group that differs is named), or it promises what cannot be.
        """
        mine = [(name, widths[-1]) for name, widths in self.widths.items()]
        groups = [(group.name, group.width) for group in network.groups]
        difference = _first_difference(mine, groups)
        if difference is None and self.fingerprint != network.fingerprint:
            difference = f"the groups from {groups[0][0]!r} on are alike, but layers or input sizes differ"
        if difference is not None:
            raise ProfileError(
                f"The profile is of another network: {difference}. Profile this network: rlprune profile."
            )
        self._check_promises(network)

    def _check_promises(self, network: Network) -> None:
        """Latencies and energies never fall when a width rises, so the narrowest plan and the dense one tell of all."""
        plans = np.array([[group.widths[0] for group in network.groups], network.dense_widths], dtype=np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            latency = self.predictor.bind(network)(plans)
            found = np.stack(
                [
                    latency,
                    self.energy(latency, network.macs(plans)),
                    *(tail(latency) for tail in self.tails.values()),
                ]
            )
        if not (np.isfinite(found).all() and (found > 0).all()):
            raise ProfileError(
                "A profile must promise positive, finite latencies and energies for every plan of the network; it does "
                "not. Measure it again."
            )

    def restrict(self, space: Space) -> Space:
        """The space over the widths that pay here; int8 is computed where it was measured to be faster."""
        network = space.network.restricted(self.widths)
        return space.on(network, int8=() if self.mixed is None else self.mixed.rule(space.on(network), self.predictor))

    def for_network(self, network: Network) -> DeviceProfile:
        """Itself, where it is of ``network``. Raises as :meth:`check`."""
        self.check(network)
        return self

    def save(self, path: str | Path) -> Path:
        """Write the profile as JSON, atomically.

        Raises:
            ProfileError: the folder cannot be written.
        """
        return write_json(path, self.to_dict(), ProfileError)

    @classmethod
    def load(cls, path: str | Path) -> DeviceProfile:
        """Read a profile that :meth:`save` wrote.

        Raises:
            ProfileError: the file is missing, truncated, edited, of another schema, lacks a key, or holds times that
                are not positive numbers.
        """
        return cls.from_dict(read_json(path, ProfileError), str(path))

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with its schema version and a seal."""
        plain: dict[str, Any] = {"schema": SCHEMA, **asdict(self)}
        if self.mixed is None:
            del plain["mixed"]
        elif self.mixed.conversion is None:
            del plain["mixed"]["conversion"]
        return sealed(plain)

    @classmethod
    def from_dict(cls, value: dict[str, Any], origin: str = "profile") -> DeviceProfile:
        """Check and read the JSON form; ``origin`` stands in error messages. Raises as :meth:`load`."""
        return read_profile(value, cls, SCHEMA, origin)


def _first_difference(profiled: list[tuple[str, int]], groups: list[tuple[str, int]]) -> str | None:
    """What differs first between the groups of a profile and those of a network, as (name, width)."""
    for (name, width), (own_name, own_width) in zip(profiled, groups, strict=False):
        if (name, width) != (own_name, own_width):
            return f"it has group {name!r} with {width} channels where this network has {own_name!r} with {own_width}"
    if len(profiled) > len(groups):
        return f"it has group {profiled[len(groups)][0]!r}, this network does not"
    if len(groups) > len(profiled):
        return f"this network has group {groups[len(profiled)][0]!r}, the profile does not"
    return None
