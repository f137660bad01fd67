"""Settings of the verbs that ask and measure devices."""

from __future__ import annotations

from dataclasses import dataclass

from rlprune.errors import ConfigError
from rlprune.experiments.settings.config import BOUND_HELP, DEVICE_HELP, MINUTES_HELP, DecideConfig
from rlprune.experiments.settings.options import at_least, check_measuring, check_watts, option


@dataclass(frozen=True)
class DevicesConfig:
    """What can be run and measured here; nothing is to be set."""


@dataclass(frozen=True)
class ProfileConfig(DecideConfig):
    """How a device profile is measured."""

    device: str = option("cpu", DEVICE_HELP)
    out: str = option(
        "profile.json", "where the profile is written; a measurement that was interrupted goes on from there"
    )
    plans: int = option(64, "plans that are measured")
    checks: int = option(16, "further plans on which the profile is checked")
    samples: int = option(300, "timings of each plan")
    batch: int = option(1, "samples in one inference")
    precision: str = option("float32", "float32, float16 or bfloat16, as far as the runtime has it")
    bound: float = option(0.03, BOUND_HELP)
    minutes: float | None = option(None, MINUTES_HELP)
    window: float = option(5.0, "seconds in which the energy of one plan is read, where there is a meter")
    watts: float | None = option(None, "power of the device, where no meter can be read")
    extend: bool = option(False, "measure further plans for the profile in --out, and fit it again")
    any_network: bool = option(
        False, "measure kinds of layers on a grid: the profile then fits any network that is made of them"
    )
    no_pictures: bool = option(False, "draw nothing; else pictures stand beside --out, in NAME-pictures")

    def check(self) -> None:
        """Refuse settings out of range."""
        super().check()
        at_least(self, 1, "plans", "checks", "samples", "batch")
        check_watts(self.watts)
        check_measuring(self.bound, self.minutes, self.window)
        if self.extend and self.any_network:
            raise ConfigError("--extend is for the profile of one network; it cannot go with --any-network.")
