"""``rlprune devices``."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch

from rlprune.devices.catalogue import CATALOGUE
from rlprune.devices.host import cpu_model, usable_cores


def test_tells_what_can_be_run_and_measured(call: Any) -> None:
    called = call("devices", "--json")
    assert called.code == 0, called.err
    result = called.json
    assert (result["schema"], result["cores"]) == ("rlprune-devices/1", usable_cores())
    devices = {device["name"]: device for device in result["devices"]}
    assert list(devices) == list(CATALOGUE)
    onnx = devices["cpu:onnxruntime"]
    assert (onnx["usable"], onnx["short"], onnx["device"]) == (True, "cpu", cpu_model())
    assert onnx["version"]
    for device in devices.values():
        assert device["usable"] == (device["reason"] is None) == (device["device"] is not None)
    assert {meter["kind"] for meter in result["meters"]} == {"cpu", "cuda"}
    assert [meter["usable"] for meter in result["meters"] if not meter["measured"]] == [True, True]
    clock, events = result["timers"]
    assert 0 < clock["resolution_us"] < 1e3
    assert events["usable"] == torch.cuda.is_available()
    assert result["other_load"] is None or result["other_load"] >= 0


def test_people_read_why_something_is_absent_and_how_to_get_it(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    called = call("devices")
    assert called.code == 0, called.err
    for name in CATALOGUE:
        assert name in called.out
    lines = called.out.splitlines()
    (compiled,) = (line for line in lines if line.startswith("- cpu:torch-compile: "))
    assert "needs a compiler" in compiled
    assert "; to get it: " in compiled
    (events,) = (line for line in lines if line.startswith("- CUDA events"))
    assert "no NVIDIA GPU" in events
    assert any("power model, 15 W assumed (not measured)" in line for line in lines)


def test_a_gpu_is_told_with_its_name(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Fake GPU")
    monkeypatch.setattr("rlprune.devices.meters.gpu_uuid", lambda: None)
    called = call("devices", "--json")
    assert called.code == 0, called.err
    devices = {device["name"]: device for device in called.json["devices"]}
    assert devices["cuda:torch"]["device"] == "Fake GPU"
    assert called.json["timers"][1]["resolution_us"] == 0.5
    assert "Fake GPU" in call("devices").out
