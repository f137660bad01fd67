"""What the pictures of a device profile show, read from the profile while the network is there."""

from __future__ import annotations

import numpy as np

from rlprune.devices.profiles.mixed import MixedLatency
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.plans import at_levels
from rlprune.experiments.runs.profile_plans import MixedPlans, ProfilePlans, Surface
from rlprune.networks.network import Network


def profile_plans(profile: DeviceProfile, network: Network, name: str) -> ProfilePlans:
    """What the pictures show, so that they can be drawn again without the network.

    Args:
        network: of the profile.
        name: of it, for the titles.
    """
    predict = profile.predictor.bind(network)
    plans = np.array([plan.widths for plan in profile.measured], dtype=np.int64).reshape(-1, len(network.groups))
    latency = np.array([plan.latency_ms for plan in profile.measured])
    read = np.array([reading.widths for reading in profile.readings], dtype=np.int64).reshape(-1, len(network.groups))
    return ProfilePlans(
        title=f"{name} on {profile.runtime.name}, {profile.device}",
        error=profile.held_out,
        measured_ms=latency.tolist(),
        promised_ms=predict(plans).tolist() if len(plans) else [],
        held_out=[plan.held_out for plan in profile.measured],
        energy_source=profile.energy.source,
        energy_measured=profile.energy.measured,
        energy_mj=profile.energy(latency, network.macs(plans)).tolist() if len(plans) else [],
        metered_ms=predict(read).tolist() if len(read) else [],
        metered_mj=[reading.energy_mj for reading in profile.readings],
        surface=_surface(profile, network),
        mixes=None if profile.mixed is None else _mixes(profile.mixed),
    )


def _mixes(mixed: MixedLatency) -> MixedPlans:
    """Mixes of which something is promised."""
    plans = [(plan, plan.promised_ms) for plan in mixed.measured if plan.promised_ms is not None]
    return MixedPlans(
        error=mixed.held_out,
        measured_ms=[plan.latency_ms for plan, _ in plans],
        promised_ms=[promised for _, promised in plans],
        held_out=[plan.held_out for plan, _ in plans],
        dropped=[len(plan.dropped) for plan, _ in plans],
        int8=[len(plan.int8) for plan, _ in plans],
    )


def _surface(profile: DeviceProfile, network: Network) -> Surface:
    """Predicted latency over the widths of the costliest group and of its neighbour, the others at half width."""
    predict, lowest = profile.predictor.bind(network), profile.lowest()
    pair = _costliest_pair(profile, network)
    middle = np.maximum(at_levels(network, np.full(len(network.groups), 0.5)), lowest)
    widths = [[w for w in network.groups[i].widths if w >= lowest[i]] for i in pair]
    plans = np.tile(middle, (len(widths[0]), len(widths[1]), 1))
    plans[:, :, pair[0]] = np.array(widths[0])[:, None]
    plans[:, :, pair[1]] = np.array(widths[1])[None, :]
    names = [network.groups[i].name for i in pair]
    latency = predict(plans.reshape(-1, plans.shape[2])).reshape(plans.shape[:2])
    return Surface(
        groups=names,
        widths=widths,
        paying=[list(profile.widths[name]) for name in names],
        latency_ms=[line.tolist() for line in latency],
    )


def _costliest_pair(profile: DeviceProfile, network: Network) -> tuple[int, int]:
    """The group that saves most time at its narrowest, and the neighbour that saves more."""
    groups = len(network.groups)
    narrow = np.where(np.eye(groups, dtype=bool), profile.lowest(), network.dense_widths)
    saved = profile.dense_latency_ms - profile.predictor.bind(network)(narrow)
    first = int(saved.argmax())
    neighbours = [index for index in (first - 1, first + 1) if 0 <= index < groups]
    return first, max(neighbours, key=lambda index: float(saved[index]), default=first)
