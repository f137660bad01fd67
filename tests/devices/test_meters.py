"""Power meters: present, absent, and counters that wrap around."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rlprune.devices.meters import ASSUMED_WATTS, NvmlMeter, PowerModel, RaplMeter, choose_meter
from rlprune.errors import DeviceError

RANGE = 1_000_000


class Clock:
    """Seconds that pass only when work is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def zone(tree: Path, name: str, label: str, energy: int) -> Path:
    folder = tree / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{label}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
    return folder


def spend(clock: Clock, counters: dict[Path, int], seconds: float = 0.25) -> Callable[[], None]:
    """Work that takes time and adds microjoules to counters, which wrap around."""

    def work() -> None:
        clock.now += seconds
        for folder, step in counters.items():
            energy = int((folder / "energy_uj").read_text())
            (folder / "energy_uj").write_text(str((energy + step) % RANGE))

    return work


def test_rapl_sums_packages_and_survives_wrap_around(tmp_path: Path, clock: Clock) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", RANGE - 100_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    psys = zone(tmp_path, "intel-rapl:2", "psys", 0)
    meter = RaplMeter(tmp_path, clock)
    work = spend(clock, {first: 300_000, second: 200_000, core: 250_000, psys: 500_000})
    watts = meter.average_watts(work, seconds=1.0)
    assert meter.reason is None
    assert meter.measured
    assert watts == pytest.approx(4 * (0.3 + 0.2) / 1.0)


def test_rapl_energy_never_falls(tmp_path: Path, clock: Clock) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, clock)
    readings = []
    for energy in (400_000, 900_000, 100_000, 100_000, 50_000):
        (folder / "energy_uj").write_text(str(energy))
        readings.append(meter.energy_mj())
    assert readings == [400, 900, 1100, 1100, 2050]


def test_rapl_absent_says_why(tmp_path: Path) -> None:
    meter = RaplMeter(tmp_path / "nothing")
    assert meter.reason is not None
    assert "RAPL" in meter.reason
    with pytest.raises(DeviceError, match="cannot be read"):
        meter.average_watts(lambda: None)


def test_rapl_unreadable_says_who_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    plain = Path.read_text

    def refuse(path: Path, *arguments: Any, **keywords: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert "root only" in str(RaplMeter(tmp_path).reason)


def test_rapl_with_broken_counter_is_absent(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    (folder / "energy_uj").write_text("broken")
    assert "cannot be read" in str(RaplMeter(tmp_path).reason)


def test_rapl_that_vanishes_is_an_error(tmp_path: Path, clock: Clock) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, clock)
    (folder / "energy_uj").unlink()
    with pytest.raises(DeviceError, match="no longer"):
        meter.energy_mj()


def test_counter_that_stands_still_is_never_zero_watts(tmp_path: Path, clock: Clock) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 5)
    meter = RaplMeter(tmp_path, clock)
    with pytest.raises(DeviceError, match="more than 0 W"):
        meter.average_watts(spend(clock, {folder: 0}))


def test_short_windows_are_lengthened(tmp_path: Path, clock: Clock) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    RaplMeter(tmp_path, clock).average_watts(spend(clock, {folder: 1000}), seconds=0.01)
    assert clock.now >= 1.0


class NvmlError(Exception):
    """Stands for pynvml.NVMLError."""


class FakeNvml(SimpleNamespace):
    """A GPU of 200 W, with or without an energy counter."""

    NVMLError = NvmlError

    def __init__(self, clock: Clock, *, counter: bool = True, driver: bool = True, power: bool = True) -> None:
        super().__init__(clock=clock, counter=counter, driver=driver, power=power, readings=self._readings())

    @staticmethod
    def _readings() -> Iterator[int]:
        while True:
            yield from (150_000, 250_000)

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NvmlError("NVML Shared Library Not Found")

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if not self.counter:
            raise NvmlError("Not Supported")
        return int(7e6 + 200e3 * self.clock())

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        if not self.power:
            raise NvmlError("Not Supported")
        return int(next(self.readings))


def advance(clock: Clock, seconds: float) -> Callable[[], None]:
    def work() -> None:
        clock.now += seconds

    return work


def test_nvml_counter(clock: Clock) -> None:
    meter = NvmlMeter(nvml=FakeNvml(clock), clock=clock)
    assert meter.average_watts(advance(clock, 0.3), seconds=2.0) == pytest.approx(200)
    assert meter.source == "NVML energy counter"
    assert meter.energy_mj() > 7e6


def test_nvml_without_counter_samples_power(clock: Clock) -> None:
    meter = NvmlMeter(nvml=FakeNvml(clock, counter=False), clock=clock)
    assert meter.source == "NVML power, sampled"
    next(meter._nvml.readings)  # the next reading is 250 W
    assert meter.average_watts(advance(clock, 0.25)) == pytest.approx(200)


def test_nvml_without_driver_says_why(clock: Clock) -> None:
    assert "Not Found" in str(NvmlMeter(nvml=FakeNvml(clock, driver=False)).reason)
    assert "Not Supported" in str(NvmlMeter(nvml=FakeNvml(clock, counter=False, power=False)).reason)


def test_nvml_without_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("rlprune.devices.meters.nvml.importlib.import_module", missing)
    assert "nvidia-ml-py" in str(NvmlMeter().reason)


def test_nvml_that_stops_answering_is_an_error(clock: Clock) -> None:
    nvml = FakeNvml(clock)
    meter = NvmlMeter(nvml=nvml, clock=clock)
    nvml.counter = False
    with pytest.raises(DeviceError, match="stopped answering"):
        meter.energy_mj()


def test_power_model_is_stated_not_measured() -> None:
    model = PowerModel(6.5)
    assert model.average_watts(lambda: pytest.fail("nothing need run")) == 6.5
    assert not model.measured
    assert model.source == "power model, 6.5 W stated"


@pytest.mark.parametrize("watts", [0.0, -3.0, float("nan"), float("inf")])
def test_power_model_needs_positive_watts(watts: float) -> None:
    with pytest.raises(DeviceError, match="positive"):
        PowerModel(watts)


def test_choice_prefers_what_measures(tmp_path: Path, clock: Clock) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    present, absent = choose_meter("cpu", meters=[RaplMeter(tmp_path / "none"), RaplMeter(tmp_path, clock)])
    assert present.measured
    assert len(absent) == 1
    assert absent[0].startswith("RAPL package counters: ")
    assert "\n" not in absent[0]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_choice_falls_back_to_the_stated_assumption(device: str) -> None:
    meter, absent = choose_meter(device, meters=[RaplMeter(Path("/nowhere"))])
    assert meter.source == f"power model, {ASSUMED_WATTS[device]:g} W assumed"
    assert len(absent) == 1
    assert choose_meter(device, 9.0, meters=[])[0].source == "power model, 9 W stated"
