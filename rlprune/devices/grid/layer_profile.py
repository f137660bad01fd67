"""What kinds of layers cost on one device and runtime: gives the profile of any network that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from rlprune.arrays import FloatArray
from rlprune.devices.grid.fitting import KindCost, LayerKind, key_of, stand_in
from rlprune.devices.profiles.digest import sealed
from rlprune.devices.profiles.predictor import LatencyPredictor, timed_layers
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.profile_json import read_profile
from rlprune.devices.profiles.records import EnergyModel, ErrorSummary, MeasuringPass, TailModel
from rlprune.devices.profiling.fitting import paying_widths
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.errors import ProfileError
from rlprune.networks.layers import Layer
from rlprune.networks.network import Network
from rlprune.support.files import read_json, write_json
from rlprune.support.records import Count, NotNegative, Whole, as_plain

LAYER_SCHEMA = "rlprune-layer-profile/1"
NEGLIGIBLE = 0.01
"""Share of the multiply-adds up to which layers of unknown kinds are taken to cost nothing, which is noted."""
BETWEEN = {
    *("ReLU", "ReLU6", "Identity", "Dropout", "Dropout2d", "Flatten"),
    *("MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d"),
}
"""Modules between layers whose time is contained in that of the probes, or is none."""
STRETCH = 1.5
"""How far beyond the measured positions and channels costs per unit are taken to hold without a note."""


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """Costs of kinds of layers on one device.

    Attributes:
        device, os, estimator, created: as in :class:`rlprune.devices.profiles.profile.DeviceProfile`.
        intercept_ms: of a call.
        block: channels are rounded up to this for the ``block_`` features.
        seed, runtime, energy: as in a profile of a network.
        layer_error: on chains of layers, each plan left out in turn.
        network_error: on whole networks that were never fitted to.
        tails, sessions: as in a profile of a network.
        kinds: what each kind of layer costs.
    """

    device: str
    os: str
    estimator: str
    created: str
    intercept_ms: NotNegative
    block: Count
    seed: Whole
    runtime: RuntimeIdentity
    energy: EnergyModel
    layer_error: ErrorSummary
    network_error: ErrorSummary
    tails: dict[str, TailModel]
    sessions: Annotated[tuple[MeasuringPass, ...], Meta(min_length=1)]
    kinds: tuple[KindCost, ...]

    @cached_property
    def _by_key(self) -> dict[LayerKind, KindCost]:
        return {kind.key: kind for kind in self.kinds}

    def predictor(self, network: Network) -> LatencyPredictor:
        """The latency of ``network``, put together from its layers.

        Raises:
            ProfileError: it has layers of unknown kinds whose multiply-adds are not negligible; they are named.
        """
        self._refuse_unknown(network)
        known = {layer: kind for layer in timed_layers(network) if (kind := self._kind(layer)) is not None}
        intercept = self.intercept_ms + sum(kind.each_ms for kind in known.values())
        layers = {layer.name: kind.coefficients(layer.positions) for layer, kind in known.items()}
        return LatencyPredictor(intercept, self.block, layers)

    def for_network(self, network: Network) -> DeviceProfile:
        """A profile of ``network`` that needs no measurement; its ``notes`` tell what lies outside the grid.

        Raises:
            ProfileError: as for :meth:`predictor`, or costs from which no positive, finite latency comes.
        """
        predictor = self.predictor(network)
        profile = DeviceProfile(
            device=self.device,
            os=self.os,
            runtime=self.runtime,
            estimator=self.estimator,
            created=self.created,
            fingerprint=network.fingerprint,
            dense_latency_ms=float(predictor.bind(network)(network.dense_widths[None])[0]),
            predictor=predictor,
            widths=paying_widths(network, predictor),
            energy=self.energy,
            tails=self.tails,
            held_out=self.network_error,
            cross_validated=self.layer_error,
            sessions=self.sessions,
            seed=self.seed,
            basis="layers",
            notes=tuple(self._notes(network)),
            measured=(),
            readings=(),
        )
        profile.check(network)
        return profile

    def _kind(self, layer: Layer) -> KindCost | None:
        """What layers such as this cost, or those that stand in for them; None where neither was measured."""
        key = key_of(layer)
        return self._by_key.get(key) or self._by_key.get(stand_in(key))

    def _unknown(self, network: Network) -> tuple[list[Layer], float]:
        """Layers of unknown kinds, and their share of the multiply-adds."""
        macs: FloatArray = network.layer_macs(network.dense_widths)[0]
        unknown = [layer for layer in timed_layers(network) if self._kind(layer) is None]
        theirs = sum(float(value) for layer, value in zip(network.layers, macs, strict=True) if layer in unknown)
        return unknown, theirs / max(float(macs.sum()), 1.0)

    def _refuse_unknown(self, network: Network) -> None:
        unknown, share = self._unknown(network)
        if share > NEGLIGIBLE:
            raise ProfileError(
                f"The profile must know the kinds of layers that a network is made of; {_named(unknown)} are unknown "
                f"to it, with {share:.0%} of the multiply-adds. Measure this network: rlprune profile."
            )

    def _notes(self, network: Network) -> list[str]:
        notes = [
            "Latency is put together from kinds of layers, this network was not measured: on other networks the error "
            f"was {self.network_error}."
        ]
        unknown, _ = self._unknown(network)
        if unknown:
            notes.append(f"Of unknown kinds, and taken to cost nothing: {_named(unknown)}.")
        between = _unmeasured_modules(network)
        if between:
            notes.append(
                f"Not counted, because the grid holds ReLU, sums and pools between layers only: {', '.join(between)}. "
                "Where they take long, measure the network itself."
            )
        known = [(layer, kind) for layer in timed_layers(network) if (kind := self._kind(layer)) is not None]
        if replaced := [layer for layer, _ in known if key_of(layer) not in self._by_key]:
            notes.append(f"Not measured on images, costs of wider convolutions were taken: {_named(replaced)}.")
        if beyond := [layer for layer, kind in known if _is_beyond(layer, kind)]:
            notes.append(f"Outside the measured grid, costs were extrapolated: {_named(beyond)}.")
        return notes

    def save(self, path: str | Path) -> Path:
        """Write the profile as JSON, atomically.

        Raises:
            ProfileError: the folder cannot be written.
        """
        return write_json(path, self.to_dict(), ProfileError)

    @classmethod
    def load(cls, path: str | Path) -> LayerProfile:
        """Read a profile that :meth:`save` wrote.

        Raises:
            ProfileError: the file is missing, truncated, edited, newer, lacks a key, or holds a number that cannot be.
        """
        return cls.from_dict(read_json(path, ProfileError), str(path))

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with its schema version and a seal."""
        return sealed({"schema": LAYER_SCHEMA, **asdict(self), "kinds": as_plain(self.kinds)})

    @classmethod
    def from_dict(cls, value: dict[str, Any], origin: str = "profile") -> LayerProfile:
        """Check and read the JSON form. Raises as :meth:`load`."""
        return read_profile(value, cls, LAYER_SCHEMA, origin)


def _is_beyond(layer: Layer, kind: KindCost) -> bool:
    channels = max(layer.out_width, layer.in_width)
    least, most = min(kind.positions), max(kind.positions)
    inside = least / STRETCH <= layer.positions <= most * STRETCH
    return not inside or channels > kind.channels * STRETCH


def _unmeasured_modules(network: Network) -> list[str]:
    """Kinds of modules without weights that stand in no probe; functional calls cannot be seen."""
    leaves = [module for module in network.model.modules() if not list(module.children())]
    return sorted({type(leaf).__name__ for leaf in leaves if not list(leaf.parameters())} - BETWEEN)


def _named(layers: Sequence[Layer]) -> str:
    shown = [
        f"{layer.name} ({' '.join([key_of(layer)[0], 'x'.join(map(str, layer.kernel))]).strip()})" for layer in layers
    ]
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return ", ".join(shown[:3]) + more
