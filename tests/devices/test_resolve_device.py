"""What a device name stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rlprune.devices import resolve_device
from rlprune.devices.catalogue import CATALOGUE, device_of
from rlprune.devices.host import cpu_model, operating_system, usable_cores
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.runtimes import OnnxRuntime, RuntimeIdentity
from rlprune.errors import DeviceError, ProfileError
from rlprune.networks.network import Network

EFFORT = Effort(plans=16, checks=4, samples=10)
THREADS = min(2, usable_cores())


def test_cpu_is_onnxruntime() -> None:
    device = resolve_device("cpu", threads=THREADS, batch=4)
    assert device.kind == "cpu"
    assert device.runtime is not None
    assert (device.runtime.identity.name, device.runtime.identity.threads, device.runtime.identity.batch) == (
        "onnxruntime", THREADS, 4,
    )  # fmt: skip


def test_absent_cuda_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="Device 'cuda' cannot be used here: ") as caught:
        resolve_device("cuda")
    assert "\n" not in str(caught.value)


def test_a_file_is_a_device_only_where_it_is_named_as_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cpu", "notes"):
        Path(name).write_text("no profile")
    assert resolve_device("cpu").name == "cpu:onnxruntime"
    with pytest.raises(DeviceError, match="notes"):
        resolve_device("notes")
    with pytest.raises(ProfileError, match="not valid JSON"):
        resolve_device("./cpu")


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(DeviceError, match="Did you mean 'cuda'"):
        resolve_device("cudda")


def test_a_missing_profile(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="Cannot read"):
        resolve_device(str(tmp_path / "none.json"))


def test_a_profile_of_this_machine_brings_its_runtime(
    residual_network: Network, recording: Callable[..., Any], tmp_path: Path
) -> None:
    here = OnnxRuntime(threads=THREADS)
    profile = build_profile(residual_network, recording(), PowerModel(1.0), EFFORT)
    path = replace(profile, device=here.device_name(), runtime=here.identity).save(tmp_path / "here.json")
    device = resolve_device(str(path))
    assert device.absent is None
    assert device.runtime is not None
    assert device.runtime.identity == here.identity
    assert device.source is not None


def test_a_profile_of_another_machine_says_so(
    residual_network: Network, recording: Callable[..., Any], tmp_path: Path
) -> None:
    profile = build_profile(residual_network, recording(), PowerModel(1.0), EFFORT)
    device = resolve_device(str(profile.save(tmp_path / "there.json")))
    assert device.runtime is None
    assert device.source == profile
    assert "Imagined CPU" in str(device.absent)


def profile_with(runtime: RuntimeIdentity, network: Network, recording: Callable[..., Any], path: Path) -> str:
    profile = build_profile(network, recording(), PowerModel(1.0), EFFORT)
    return str(replace(profile, device=cpu_model(), runtime=runtime).save(path / "other.json"))


@pytest.mark.parametrize("name", ["cpu:openvino", "cpu:torch", "cpu:torch-channels-last"])
def test_a_profile_brings_the_runtime_it_was_made_with(
    name: str, residual_network: Network, recording: Callable[..., Any], tmp_path: Path
) -> None:
    made = resolve_device(name, batch=2).runtime
    assert made is not None
    device = resolve_device(profile_with(made.identity, residual_network, recording, tmp_path))
    assert type(device.runtime) is type(made)
    assert device.runtime is not None
    assert device.runtime.identity == made.identity


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "tvm", "provider": "llvm"}, "with tvm"),
        ({"threads": 4096}, "4096 came"),
        ({"precision": "float16"}, "float16' came"),
        ({"provider": "CUDAExecutionProvider", "threads": 0}, "CUDAExecutionProvider"),
        ({"version": "0.1"}, "onnxruntime 0.1"),
    ],
)
def test_a_profile_whose_runtime_is_absent_here_can_still_be_used(
    change: dict[str, Any], reason: str, residual_network: Network, recording: Callable[..., Any], tmp_path: Path
) -> None:
    identity = replace(OnnxRuntime().identity, **change)
    device = resolve_device(profile_with(identity, residual_network, recording, tmp_path))
    assert device.source is not None
    assert device.runtime is None
    assert reason in str(device.absent)
    assert "\n" not in str(device.absent)


def test_every_runtime_finds_its_own_entry() -> None:
    for entry in CATALOGUE.values():
        assert device_of(entry.make(1, 2, "float32").identity) is entry


def test_absent_devices_say_how_to_get_them() -> None:
    for entry in CATALOGUE.values():
        if entry.make(1, 1, "float32").available() is not None:
            with pytest.raises(DeviceError, match=r"cannot be used here: .* To get it: "):
                resolve_device(entry.name)
            assert entry.remedy


def test_settings_reach_the_runtime() -> None:
    runtime = resolve_device("cpu:torch", threads=THREADS, batch=5, precision="bfloat16").runtime
    assert runtime is not None
    identity = runtime.identity
    assert (identity.threads, identity.batch, identity.precision) == (THREADS, 5, "bfloat16")
    with pytest.raises(DeviceError, match="must be float32; 'bfloat16' came"):
        resolve_device("cpu", precision="bfloat16")


def test_cpu_model(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Fine CPU\n\nprocessor\t: 1\nmodel name\t: Fine CPU\n")
    assert cpu_model(info) == "Fine CPU, 2 cores"
    assert cpu_model(tmp_path / "none")
    assert operating_system()
