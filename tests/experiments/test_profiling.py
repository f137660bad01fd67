"""Profiles from the command line: measured, extended, trained with; on the synthetic GPU, which needs no hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.experiments.benchmarks import latency_promise, ready_profiles
from rlprune.experiments.reports.profile_pictures import CAPTIONS

NETWORK = ("--network", "tiny_networks:network")
FEW = ("--plans", 16, "--checks", 4, "--samples", 20, "--multiple", 4)
GPU = ("--device", "synthetic:gpu", "--batch", 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiles")


@pytest.fixture
def measured(call: Any, here: Path, folder: Path) -> Path:
    """A profile of the synthetic GPU, measured once."""
    path = folder / "gpu.json"
    if not path.exists():
        called = call("profile", *NETWORK, *GPU, *FEW, "--out", path, "--json")
        assert called.code == 0, called.err
    return path


def test_energy_tails_and_pictures_of_a_gpu(measured: Path) -> None:
    profile = DeviceProfile.load(measured)
    assert profile.device.startswith("synthetic")
    assert not profile.energy.measured
    assert profile.energy.idle_watts is not None
    assert profile.energy.error.plans == len(profile.readings) > 4
    assert profile.energy.error.median < 0.1
    assert profile.runtime.batch == 8
    assert set(profile.tails) == {"p50", "p95", "p99"}
    pictures = measured.with_name("gpu-pictures")
    assert {path.stem for path in pictures.iterdir()} == set(CAPTIONS) - {"profile-mixes"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.iterdir())


def test_the_answer_says_what_it_rests_on(call: Any, here: Path, tmp_path: Path) -> None:
    flags = (*NETWORK, *GPU, *FEW, "--out", tmp_path / "gpu.json", "--no-pictures")
    called = call("profile", *flags)
    assert called.code == 0, called.err
    for words in (
        "unseen plans",
        "latency, p99",
        "an idle device draws",
        "W x latency",
        "Energy is not measured",
        "samples/s",
    ):
        assert words in " ".join(called.out.split())
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.json"]


def test_extension_adds_plans(call: Any, measured: Path, tmp_path: Path) -> None:
    path = tmp_path / "extended.json"
    path.write_bytes(measured.read_bytes())
    few = ("--plans", 8, "--checks", 2, "--samples", 20, "--multiple", 4)
    called = call("profile", *NETWORK, *GPU, *few, "--out", path, "--extend", "--json")
    assert called.code == 0, called.err
    before, after = DeviceProfile.load(measured), DeviceProfile.load(path)
    assert len(after.sessions) == 2
    assert len(after.measured) > len(before.measured)
    assert called.json["fitted_plans"] == after.fitted


def test_a_run_within_the_99th_percentile(call: Any, measured: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    task = ("--task", "tiny_networks:task", "--samples", 32, "--episodes", 10, "--finalists", 2, "--multiple", 4)
    flags = (*NETWORK, *task, "--device", measured, "--profile-samples", 10, "--out", run, "--json")
    called = call("train", *flags, "--budget", "latency_p99=0.8", "--budget", "energy=0.9")
    assert called.code == 0, called.err
    limits = called.json["limits"]
    assert set(limits) == {"latency_p99_ms", "energy_mj"}
    for row in called.json["rows"][1:]:
        assert row["latency_p99_promised_ms"] <= limits["latency_p99_ms"] * 1.000001
        assert row["energy_promised_mj"] <= limits["energy_mj"] * 1.000001
        assert row["latency_p99_measured_ms"] > 0
        assert row["energy_mj"] > 0
        assert row["peak_bytes"] > row["size_bytes"] / 2
    dense, *pruned = called.json["rows"]
    assert all(row["peak_bytes"] <= dense["peak_bytes"] for row in pruned)
    assert any("Energy is not measured" in note for note in called.json["notes"])
    assert CAPTIONS.keys() - {"profile-mixes"} <= {path.stem for path in (run / "pictures").iterdir()}
    report = (run / "report.md").read_text()
    assert "profile-promise.png" in report
    assert "profile p99 error" in report


def test_a_noisy_profile_warns_in_every_run(call: Any, measured: Path, tmp_path: Path) -> None:
    path = tmp_path / "noisy.json"
    flags = (*NETWORK, *GPU, *FEW, "--out", path, "--bound", 0.00001, "--no-pictures", "--json")
    called = call("profile", *flags)
    assert called.code == 0, called.err
    assert not called.json["settled"]
    assert any("noisy" in warning for warning in called.json["warnings"])
    task = ("--task", "tiny_networks:task", "--samples", 32, "--episodes", 5, "--finalists", 1, "--multiple", 4)
    device = ("--device", path, "--profile-samples", 10, "--budget", "latency=0.8")
    run = call("train", *NETWORK, *task, *device, "--out", tmp_path / "run", "--json")
    assert run.code == 0, run.err
    assert any("noisy" in note for note in run.json["notes"])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--device", "cpu:openvinno"), "Did you mean 'cpu:openvino'"),
        (("--device", "cpu", "--threads", "4096"), "4096 came"),
        (("--device", "cpu", "--precision", "float16"), "float16"),
        (("--device", "cpu", "--precision", "int3"), "int3"),
        (("--device", "ready:nothing"), "Unknown ready profile"),
        (("--device", "cuda:tensorrt"), "TensorrtExecutionProvider"),
        (("--bound", "0"), "--bound must lie between 0 and 1"),
        (("--minutes", "-1"), "--minutes must be a positive number"),
        (("--window", "0"), "--window must be a positive number"),
        (("--extend",), "--extend needs the profile in --out"),
        (("--extend", "--any-network"), "cannot go with --any-network"),
        (("--plans", "3"), "at least 8 plans"),
    ],
)
def test_bad_input(call: Any, here: Path, tmp_path: Path, flags: tuple[str, ...], told: str) -> None:
    called = call("profile", *NETWORK, "--out", tmp_path / "p.json", *flags)
    assert called.code == 2
    assert len(called.errors) == 1
    assert told in called.errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda text: text[:-30], "truncated"),
        (lambda text: text.replace("rlprune-device-profile/2", "rlprune-device-profile/3"), "newer rlprune"),
        (lambda text: text.replace('"seed": 0', '"seed": 3'), "edited"),
        (
            lambda text: text.replace('"dense_latency_ms": ', '"dense_latency_ms": -'),
            "dense_latency_ms: expected float > 0.0",
        ),
        (lambda text: text.replace('"dense_latency_ms": ', '"dense_latency_ms": NaN, "was": '), "no finite number"),
    ],
)
def test_bad_profiles(call: Any, measured: Path, tmp_path: Path, spoil: Any, told: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(spoil(measured.read_text()))
    flags = (*NETWORK, "--task", "tiny_networks:task", "--out", tmp_path / "run")
    called = call("train", *flags, "--device", path)
    assert called.code == 2
    assert len(called.errors) == 1
    assert told in called.errors[0]
    assert not (tmp_path / "run").exists()


def test_a_profile_of_another_network(call: Any, measured: Path, tmp_path: Path) -> None:
    flags = ("--network", "tiny_networks:wider", "--task", "tiny_networks:wider_task", "--out", tmp_path / "run")
    called = call("train", *flags, "--device", measured)
    assert called.code == 2
    assert "of another network" in called.errors[0]


@pytest.mark.slow
def test_promises_are_checked_on_plans_that_the_profile_has_not_seen(tmp_path: Path) -> None:
    out = tmp_path / "promise.json"
    few = ["--network", "digits-resnet", "--plans", "8", "--checks", "3", "--samples", "5"]
    files = ["--profiles", str(tmp_path), "--pictures", str(tmp_path), "--out", str(out)]
    assert latency_promise.main([*few, *files]) == 0
    (case,) = json.loads(out.read_text())["cases"]
    (row,) = case["rows"]
    assert len(row["widths"]) == len(row["promised_ms"]) == len(row["measured_ms"]) == row["errors"]["plans"] == 3
    profile = DeviceProfile.load(tmp_path / "cpu-onnxruntime-digits-resnet.json")
    known = {plan.widths for plan in profile.measured}
    assert not {tuple(plan) for plan in row["widths"]} & known
    assert row["two_profiles"]["plans"] > 0
    assert (tmp_path / "cpu-onnxruntime-digits-resnet.png").read_bytes().startswith(b"\x89PNG")


def test_the_cards_of_ready_profiles_are_true(tmp_path: Path) -> None:
    cards = tmp_path / "cards.md"
    assert ready_profiles.main(["--cards", str(cards)]) == 0
    committed = Path(__file__).parents[2] / "experiments" / "benchmarks" / "ready-profiles.md"
    assert committed.read_text() == cards.read_text()


def test_benchmarks_refuse_what_is_no_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency_promise.main(["--network", "fashion-resnet", "--device", "cpu"]) == 2
    assert "Did you mean" in capsys.readouterr().err
    assert latency_promise.main(["--network", "digits-resnet", "--device", "nothing"]) == 2
    assert "Unknown device" in capsys.readouterr().err
