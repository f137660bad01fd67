"""Power meters: present, absent, and counters that wrap around."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rlprune.devices.meters import (
    ASSUMED_WATTS,
    NvmlMeter,
    PowerModel,
    RaplMeter,
    Window,
    choose_meter,
    gpu_uuid,
    meters_of,
)
from rlprune.devices.meters.base import EnergyCounter
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


def spend(clock: Clock, counters: dict[Path, int], seconds: float = 0.25) -> Callable[[], int]:
    """Work of ten inferences that takes time and adds microjoules to counters, which wrap around."""

    def work() -> int:
        clock.now += seconds
        for folder, step in counters.items():
            energy = int((folder / "energy_uj").read_text())
            (folder / "energy_uj").write_text(str((energy + step) % RANGE))
        return 10

    return work


def test_rapl_sums_packages_and_survives_wrap_around(tmp_path: Path, clock: Clock) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", RANGE - 100_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    psys = zone(tmp_path, "intel-rapl:2", "psys", 0)
    meter = RaplMeter(tmp_path, clock)
    work = spend(clock, {first: 300_000, second: 200_000, core: 250_000, psys: 500_000})
    window = meter.measure(work, seconds=1.0)
    assert meter.reason is None
    assert meter.measured
    assert (window.seconds, window.runs) == (1.0, 40)
    assert window.watts == pytest.approx(4 * (0.3 + 0.2) / 1.0)
    assert window.mj_per_run == pytest.approx(50)
    assert window.ms_per_run == pytest.approx(25)


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
        meter.measure(lambda: 1)


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
    with pytest.raises(DeviceError, match=r"more than 0 mJ.*does not count"):
        meter.measure(spend(clock, {folder: 0}))


def test_short_windows_are_lengthened(tmp_path: Path, clock: Clock) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, clock)
    assert meter.measure(spend(clock, {folder: 1000}), seconds=0.01).seconds >= 1.0
    meter.update_s = 0.4
    assert meter.measure(spend(clock, {folder: 1000}), seconds=0.01).seconds >= 4.0


def test_a_window_begins_when_the_counter_moves(tmp_path: Path, clock: Clock) -> None:
    """A counter that moves every second: energy from before the window does not count."""
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = RaplMeter(tmp_path, clock)
    meter.update_s = 1.0

    def work() -> int:
        clock.now += 0.25
        if clock.now % 1.0 == 0:
            (folder / "energy_uj").write_text(str(int(clock.now * 20_000) % RANGE))
        return 1

    assert meter.measure(work, seconds=10.0).watts == pytest.approx(0.02)


def test_idle_power_is_read_while_nothing_runs(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    nap = spend(clock, {folder: 50_000}, seconds=0.5)
    monkeypatch.setattr("rlprune.devices.meters.base.time.sleep", lambda seconds: nap())
    assert RaplMeter(tmp_path, clock).idle_watts(2.0) == pytest.approx(0.1)
    assert PowerModel(7.0).idle_watts() is None


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

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return f"handle of {uuid}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if not self.counter:
            raise NvmlError("Not Supported")
        return int(7e6 + 200e3 * self.clock())

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        if not self.power:
            raise NvmlError("Not Supported")
        return int(next(self.readings))


def advance(clock: Clock, seconds: float) -> Callable[[], int]:
    def work() -> int:
        clock.now += seconds
        return 1

    return work


def test_nvml_counter(clock: Clock) -> None:
    meter = NvmlMeter(nvml=FakeNvml(clock), clock=clock)
    assert meter.measure(advance(clock, 0.3), seconds=2.0).watts == pytest.approx(200)
    assert meter.source == "NVML energy counter"
    assert meter.energy_mj() > 7e6


def test_nvml_without_counter_samples_power(clock: Clock) -> None:
    meter = NvmlMeter(nvml=FakeNvml(clock, counter=False), clock=clock)
    assert meter.source == "NVML power, sampled"
    window = meter.measure(advance(clock, 0.25), seconds=1.0)
    assert (window.seconds, window.runs) == (1.0, 4)
    assert window.watts == pytest.approx(200)


def test_sampled_power_is_weighted_by_time(clock: Clock) -> None:
    """150 W and 250 W in turn, with a long piece of work between two of the samples only."""
    meter = NvmlMeter(nvml=FakeNvml(clock, counter=False), clock=clock)
    pieces = iter([0.0, 3.0, 1.0])

    def work() -> int:
        clock.now += next(pieces)
        return 1

    next(meter._nvml.readings)  # the next reading is 250 W
    meter._nvml.readings = iter([100_000, 100_000, 300_000])
    assert meter.measure(work, seconds=4.0).watts == pytest.approx((3 * 100 + 1 * 200) / 4)


def test_nvml_meters_the_gpu_that_computes(clock: Clock) -> None:
    nvml = FakeNvml(clock)
    assert NvmlMeter("GPU-1234", nvml=nvml, clock=clock)._handle == "handle of GPU-1234"
    assert NvmlMeter(2, nvml=nvml, clock=clock)._handle == 2


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
    window = model.measure(lambda: 3)
    assert window.watts == pytest.approx(6.5)
    assert window.runs == 3
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


class Stepping(EnergyCounter):
    """A counter of 50 W that moves every 100 ms, a little after it was made."""

    source, update_s = "a stepping counter", 0.1

    def energy_mj(self) -> float:
        return 50e3 * self.update_s * ((self.clock() + 0.037) // self.update_s)


@pytest.mark.parametrize("piece", [0.003, 0.02, 0.033])
def test_windows_span_whole_updates(clock: Clock, piece: float) -> None:
    """Readings between two updates would be wrong by up to a tenth here; what is left is the length of the work."""
    window = Stepping(clock).measure(advance(clock, piece), seconds=1.03)
    assert window.watts == pytest.approx(50, rel=piece / 1.03 + 1e-6)
    assert 1.03 <= window.seconds <= 1.03 + 0.1 + piece
    assert window.runs == pytest.approx(window.seconds / piece)


def test_windows_of_a_slow_counter_are_lengthened(clock: Clock) -> None:
    meter = Stepping(clock)
    assert meter.measure(advance(clock, 0.02), seconds=0.5).seconds >= 1.0
    meter.update_s = 0.3
    assert meter.measure(advance(clock, 0.02), seconds=2.0).seconds >= 3.0


def test_work_that_does_not_count_its_runs_is_refused(clock: Clock) -> None:
    with pytest.raises(DeviceError, match="how many inferences"):
        Stepping(clock).measure(lambda: 0 * advance(clock, 0.1)())


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("meter", [PowerModel(5.0), Stepping(Clock())])
def test_windows_last(meter: PowerModel | Stepping, seconds: float) -> None:
    with pytest.raises(DeviceError, match="more than 0 seconds"):
        meter.measure(lambda: 1, seconds)


@pytest.mark.parametrize("numbers", [(0.0, 1, 1.0), (1.0, 0, 1.0), (1.0, 1, 0.0), (1.0, 1, float("nan"))])
def test_impossible_windows_are_refused(numbers: tuple[float, int, float]) -> None:
    with pytest.raises(DeviceError, match="must have taken time"):
        Window(*numbers)


@pytest.mark.parametrize("reading", [float("nan"), float("inf"), -5.0])
def test_a_reading_that_is_no_energy_is_refused(clock: Clock, reading: float) -> None:
    """As of a counter that was set back because the driver was loaded again."""
    meter = Stepping(clock)
    meter.energy_mj = lambda: reading * clock.now  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="more than 0 mJ"):
        meter.measure(advance(clock, 0.1))


def test_a_gpu_that_vanishes_in_a_window_is_named(clock: Clock) -> None:
    nvml = FakeNvml(clock)
    meter = NvmlMeter("GPU-1234", nvml=nvml, clock=clock)

    def work() -> int:
        clock.now += 0.1
        nvml.counter = clock.now < 2
        return 1

    with pytest.raises(DeviceError, match="GPU-1234 stopped answering"):
        meter.measure(work)


def test_a_gpu_that_draws_nothing_is_refused(clock: Clock) -> None:
    nvml = FakeNvml(clock, counter=False)
    nvml.readings = iter([0] * 1000)
    with pytest.raises(DeviceError, match="more than 0 mJ"):
        NvmlMeter(nvml=nvml, clock=clock).measure(advance(clock, 0.1))


class FakeCuda(SimpleNamespace):
    """Torch with GPUs of these UUIDs, the last of them current."""

    def __init__(self, *uuids: str | None) -> None:
        super().__init__(uuids=uuids)

    def is_available(self) -> bool:
        return bool(self.uuids)

    def current_device(self) -> int:
        return len(self.uuids) - 1

    def get_device_properties(self, device: int) -> SimpleNamespace:
        uuid = self.uuids[device]
        return SimpleNamespace() if uuid is None else SimpleNamespace(uuid=uuid)


def test_torch_names_the_gpu_for_nvml() -> None:
    assert gpu_uuid(cuda=FakeCuda()) is None
    assert gpu_uuid(cuda=FakeCuda(None)) is None
    assert gpu_uuid(cuda=FakeCuda("12-ab", "34-cd")) == "GPU-34-cd"
    assert gpu_uuid(0, cuda=FakeCuda("GPU-12-ab", "34-cd")) == "GPU-12-ab"


def test_meters_describe_themselves(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PowerModel(5.0).describe() == "power model, 5 W stated (not measured)"
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    assert RaplMeter(tmp_path, clock).describe() == "RAPL package counters (measured)"
    without = NvmlMeter(nvml=FakeNvml(clock, driver=False)).describe()
    assert (
        without
        == "NVML energy counter: NVML answers: NVML Shared Library Not Found; to get it: install the NVIDIA driver"
    )
    refused = NvmlMeter(3, nvml=FakeNvml(clock, counter=False, power=False)).describe()
    assert refused.startswith("NVML power, sampled: NVML answers for GPU 3: Not Supported; to get it: ")

    def refuse(path: Path, *_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert f"chmod a+r {tmp_path}/intel-rapl:*/energy_uj" in RaplMeter(tmp_path).describe()


def test_every_kind_of_device_has_its_meters() -> None:
    assert [type(meter) for device in ("cpu", "cuda") for meter in meters_of(device)] == [RaplMeter, NvmlMeter]
    with pytest.raises(DeviceError, match="Unknown kind of device 'tpu'"):
        choose_meter("tpu")
