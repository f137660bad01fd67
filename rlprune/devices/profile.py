"""What was measured of one network on one device and runtime: predicts latency and energy, states its own error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlprune.devices.predictor import LatencyPredictor
from rlprune.devices.profile_json import SCHEMA, parse
from rlprune.devices.records import ErrorSummary, MeasuredPlan, Power
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.errors import ProfileError
from rlprune.files import read_json, write_json
from rlprune.network import Network


@dataclass(frozen=True)
class DeviceProfile:
    """Latency and energy of one network on one device.

    Attributes:
        device: processor or GPU, for people to read.
        os: operating system.
        runtime: library, version, provider, threads, batch, precision.
        estimator: how a latency was made of samples.
        samples: samples of each plan.
        created: ISO 8601, UTC.
        fingerprint: of the network; see :class:`rlprune.network.Network`.
        dense_latency_ms: measured latency of the dense network, one inference of ``runtime.batch`` samples.
        predictor: latency of any plan.
        widths: group name -> allowed channel counts, those that pay on this runtime; the last is the dense width.
        power: watts and their source.
        held_out: errors on plans the fit never saw.
        cross_validated: errors on the fitted plans, each left out in turn.
        spread: how far two halves of the measurement disagree (median relative difference).
        seed: of the choice and order of plans.
        measured: every plan that was timed, so that a predictor can be fitted again.
    """

    device: str
    os: str
    runtime: RuntimeIdentity
    estimator: str
    samples: int
    created: str
    fingerprint: str
    dense_latency_ms: float
    predictor: LatencyPredictor
    widths: dict[str, tuple[int, ...]]
    power: Power
    held_out: ErrorSummary
    cross_validated: ErrorSummary
    spread: float
    seed: int
    measured: tuple[MeasuredPlan, ...]

    def check(self, network: Network) -> None:
        """Make sure the profile was measured on ``network``.

        Raises:
            ProfileError: it was not; the first group that differs is named.
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

    def save(self, path: str | Path) -> Path:
        """Write the profile as JSON, atomically.

        Raises:
            ProfileError: the folder cannot be written.
        """
        return write_json(path, self.to_dict(), ProfileError)

    @classmethod
    def load(cls, path: str | Path) -> DeviceProfile:
        """Read a profile.

        Raises:
            ProfileError: the file is missing, truncated, of another schema, lacks a key, or holds times that are not
                positive numbers.
        """
        return cls.from_dict(read_json(path, ProfileError), str(path))

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with its schema version."""
        return {
            "schema": SCHEMA,
            "device": self.device,
            "os": self.os,
            "runtime": asdict(self.runtime),
            "estimator": self.estimator,
            "samples": self.samples,
            "created": self.created,
            "fingerprint": self.fingerprint,
            "dense_latency_ms": self.dense_latency_ms,
            "power": asdict(self.power),
            "held_out": asdict(self.held_out),
            "cross_validated": asdict(self.cross_validated),
            "spread": self.spread,
            "seed": self.seed,
            "widths": {name: list(widths) for name, widths in self.widths.items()},
            "predictor": self.predictor.to_dict(),
            "measured": [{**asdict(plan), "widths": list(plan.widths)} for plan in self.measured],
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any], origin: str = "profile") -> DeviceProfile:
        """Check and read the JSON form; ``origin`` stands in error messages. Raises as :meth:`load`."""
        return cls(**parse(value, origin))


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
