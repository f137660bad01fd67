"""RAPL: the processor's own package energy counters, through the kernel's powercap tree."""

from __future__ import annotations

import time
from pathlib import Path

from rlprune.devices.meters.base import Clock, EnergyCounter
from rlprune.errors import DeviceError

POWERCAP = Path("/sys/class/powercap")


class RaplMeter(EnergyCounter):
    """Sum of all processor packages (``intel-rapl:N`` zones named ``package-*``, which AMD processors use too).

    Sub-zones (cores, DRAM) and ``psys`` are left out: they would be counted twice. The counters start again at 0
    after ``max_energy_range_uj``; differences are taken modulo that range, so a piece of work must end before a package
    uses it up (262 kJ mostly, three quarters of an hour at 100 W). Other programs on the package are counted too.

    Args:
        tree: the powercap folder.
        clock: seconds, for the length of a window.
    """

    source = "RAPL package counters"
    update_s = 0.001

    def __init__(self, tree: str | Path = POWERCAP, clock: Clock = time.perf_counter) -> None:
        super().__init__(clock)
        self._zones: list[_Zone] = []
        self._open(Path(tree))

    def _open(self, tree: Path) -> None:
        try:
            folders = sorted(folder for folder in tree.glob("intel-rapl:*") if folder.name.count(":") == 1)
            self._zones = [_Zone(folder) for folder in folders if _name(folder).startswith("package")]
        except PermissionError as reason:
            self.reason = f"{reason.filename} may be read by root only"
            self.remedy = f"chmod a+r {tree}/intel-rapl:*/energy_uj"
        except (OSError, ValueError) as reason:
            self.reason = f"the powercap tree {tree} cannot be read ({reason})"
        else:
            if not self._zones:
                self.reason = f"the kernel shows no RAPL package under {tree}"
                self.remedy = "run outside a virtual machine, and modprobe intel_rapl_msr"

    def energy_mj(self) -> float:
        """Energy of all packages in millijoules since this meter was made; never falls.

        Raises:
            DeviceError: a counter can no longer be read.
        """
        try:
            return sum(zone.advance() for zone in self._zones) / 1e3
        except (OSError, ValueError) as reason:
            raise DeviceError(f"The RAPL counters can no longer be read ({reason}). Measure again.") from reason


class _Zone:
    """A package of the processor: its counter without the jumps where it starts anew."""

    def __init__(self, folder: Path) -> None:
        self._counter = folder / "energy_uj"
        self._range = int((folder / "max_energy_range_uj").read_text())
        self._last = int(self._counter.read_text())
        self._total = 0
        if self._range <= 0:
            raise ValueError(f"{folder.name} has no counter range")

    def advance(self) -> int:
        """Microjoules since the zone was opened."""
        value = int(self._counter.read_text())
        self._total += (value - self._last) % self._range
        self._last = value
        return self._total


def _name(folder: Path) -> str:
    return (folder / "name").read_text().strip()
