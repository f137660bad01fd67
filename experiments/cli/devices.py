"""``rlprune devices``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.device_config import DevicesConfig

if TYPE_CHECKING:
    from rlprune.experiments.pipeline.listing_devices import DevicesAnswer

CONFIG = DevicesConfig
EXAMPLE = "rlprune devices"


def run(config: DevicesConfig, command: str) -> DevicesAnswer:
    """Find what can be run and measured here."""
    from rlprune.experiments.pipeline.listing_devices import find_devices

    return find_devices()
