"""What a device name stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rlprune.devices import resolve_device
from rlprune.devices.host import cpu_model, operating_system
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiler import build_profile
from rlprune.devices.runtimes import OnnxRuntimeCpu
from rlprune.errors import DeviceError, ProfileError
from rlprune.network import Network


def test_cpu_is_onnxruntime() -> None:
    device = resolve_device("cpu", threads=2, batch=4)
    assert device.kind == "cpu"
    assert device.runtime is not None
    assert (device.runtime.identity.name, device.runtime.identity.threads, device.runtime.identity.batch) == (
        "onnxruntime", 2, 4,
    )  # fmt: skip


def test_absent_cuda_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="Device 'cuda' cannot be used here: ") as caught:
        resolve_device("cuda")
    assert "\n" not in str(caught.value)


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(DeviceError, match="Did you mean 'cuda'"):
        resolve_device("cudda")


def test_a_missing_profile(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="Cannot read"):
        resolve_device(str(tmp_path / "none.json"))


def test_a_profile_of_this_machine_brings_its_runtime(
    residual_network: Network, recording: Callable[..., Any], tmp_path: Path
) -> None:
    here = OnnxRuntimeCpu(threads=2)
    profile = build_profile(residual_network, recording(), PowerModel(1.0), plans=16, checks=4, samples=10)
    path = replace(profile, device=here.device_name(), runtime=here.identity).save(tmp_path / "here.json")
    device = resolve_device(str(path))
    assert device.absent is None
    assert device.runtime is not None
    assert device.runtime.identity == here.identity
    assert device.profile is not None


def test_a_profile_of_another_machine_says_so(
    residual_network: Network, recording: Callable[..., Any], tmp_path: Path
) -> None:
    profile = build_profile(residual_network, recording(), PowerModel(1.0), plans=16, checks=4, samples=10)
    device = resolve_device(str(profile.save(tmp_path / "there.json")))
    assert device.runtime is None
    assert device.profile == profile
    assert "Imagined CPU" in str(device.absent)


def test_cpu_model(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Fine CPU\n\nprocessor\t: 1\nmodel name\t: Fine CPU\n")
    assert cpu_model(info) == "Fine CPU, 2 cores"
    assert cpu_model(tmp_path / "none")
    assert operating_system()
