"""Profiles that the members of a study share: measured once, before the members, so that these compare."""

from __future__ import annotations

from dataclasses import replace

from rlprune.devices.sources import is_source
from rlprune.experiments.pipeline.device_profile import needs_profile
from rlprune.experiments.settings.options import as_dict
from rlprune.experiments.settings.problem import CHOSEN
from rlprune.experiments.settings.verb_configs import ProfileConfig, TrainConfig
from rlprune.experiments.sweeping.names import digest, shortened, word

SAME = (
    *("network", "task", "data_dir", *CHOSEN),
    *("threads", "multiple", "minimum", "rule", "device", "watts"),
)


def profile_of(config: TrainConfig) -> ProfileConfig | None:
    """The profile that a run would measure for itself, whatever its seed; None where it needs none, or names one."""
    if is_source(config.device) or not needs_profile(config):
        return None
    return ProfileConfig(
        **{name: getattr(config, name) for name in SAME},
        plans=config.profile_plans,
        checks=config.profile_checks,
        samples=config.profile_samples,
        bound=config.profile_bound,
        minutes=config.profile_minutes,
        no_pictures=True,
    )


def profile_name(config: ProfileConfig) -> str:
    """Network, device, and what tells its settings from others."""
    words = f"{word('network', config.network)}-{word('device', config.device)}"
    return f"{shortened(words)}-{digest(as_dict(replace(config, out='')))}"
