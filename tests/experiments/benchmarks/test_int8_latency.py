"""Where int8 pays: a short run on the small ResNet, and what a profile promises of runs of layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlprune.experiments.benchmarks import int8_latency, int8_sets
from rlprune.pruning.quantization import int8_layers
from tests.devices.mixed_truth import PAYS, network, predictor_of, space_of, truth_of
from tests.devices.test_mixed import profile_of


@pytest.mark.slow
def test_it_times_every_layer_and_runs_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "int8.json"
    flags = ["--network", "digits-resnet", "--batch", "1", "--samples", "2", "--images", "60"]
    assert int8_latency.main([*flags, "--out", str(out)]) == 0
    [case] = json.loads(out.read_text())["cases"]
    times = {row["variant"]: row["ms"] for row in case["rows"] if row["of"] == "latency"}
    layers = [name.removeprefix("int8 ") for name in times if name.startswith("int8 ")]
    assert len(layers) > 8
    assert min(times.values()) > 0
    sets = [row for row in case["rows"] if row["of"] == "sets"]
    names = [each["name"] for each in sets]
    assert (names[0], names.count("random"), names.count("one")) == ("none", int8_sets.RANDOM, len(layers))
    assert all(each["measured_ms"] > 0 and set(each["layers"]) <= set(layers) for each in sets)
    accuracy = {row["variant"]: row for row in case["rows"] if row["of"] == "accuracy"}
    assert accuracy["int8, ONNX Runtime"]["agrees_with_int8"] == 1.0
    assert all(0 <= told["score"] <= 1 for told in accuracy.values())
    assert "layers in int8" in capsys.readouterr().out


def test_a_profile_promises_every_run_and_the_one_it_chooses_least() -> None:
    tower = network("tower")
    profile = profile_of(space_of("tower"), truth_of(space_of("tower"), PAYS))
    drawn = int8_sets.drawn_sets(int8_layers(tower), seed=0)
    promised = int8_sets.layer_sets(tower, profile, seed=0)
    assert [each.name for each in promised] == [*(each.name for each in drawn), "chosen"]
    assert promised[0].promised_ms == pytest.approx(predictor_of(tower).bind(tower)(tower.dense_widths[None])[0])
    assert promised[-1].promised_ms == min(each.promised_ms or 0.0 for each in promised)
    assert promised[-1].layers
    assert int8_sets.layer_sets(tower, None, seed=0) == drawn


@pytest.mark.parametrize("flag", ["--batch", "--samples"])
def test_nothing_to_time_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert int8_latency.main([flag, "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err
