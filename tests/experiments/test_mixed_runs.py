"""Runs that decide more than channels: they hold, and keep every plan that can be chosen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlprune.devices.profiles.int8.model import Conversion, KindInInt8
from rlprune.devices.profiles.mixed import NO_MIXES
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.errors import RunError
from rlprune.experiments.fronting.evaluated_plans import measured_plans, searched_plans
from rlprune.experiments.runs.finished import FinishedRun
from rlprune.experiments.runs.run_folder import RESULT, RunFolder
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.pruning.quantization import int8_layers
from rlprune.zoo import resolve_network
from tests.experiments.conftest import TINY, call, inside

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mixed(workplace: Path) -> Path:
    device = ("--device", "profile.json", "--profile-samples", "10")
    search = ("--decide", "channels,weights,bits", "--budget", "size=0.2", "--episodes", "8", "--finalists", "3")
    with inside(workplace):
        called = call("train", *TINY, *device, *search, "--out", "mixed")
    assert called.code == 0, called.err
    return workplace / "mixed"


@pytest.fixture(scope="module")
def finished(mixed: Path) -> FinishedRun:
    return FinishedRun.read(mixed)


def test_every_claim_of_it_holds(mixed: Path, here: Path) -> None:
    called = call("validate", mixed, *TINY[:4], "--json", "--no-timing")
    assert [claim for claim in called.json["claims"] if claim["verdict"] == "differs"] == []


def test_a_compact_file_of_other_weights_is_found_out(mixed: Path, here: Path, tmp_path: Path) -> None:
    spoilt = shutil.copytree(mixed, tmp_path / "spoilt")
    path = spoilt / "pruned.compact.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x11
    path.write_bytes(content)
    claims = call("validate", spoilt, *TINY[:4], "--json", "--no-timing").json["claims"]
    differing = [claim["subject"] for claim in claims if claim["verdict"] == "differs"]
    assert differing == ["pruned.compact.safetensors"]


def test_a_run_in_int8_holds_its_onnx_network_too(here: Path) -> None:
    """On a profile that says of all layers that int8 is faster."""
    loaded = resolve_network("tiny_networks:network")
    network = Network(loaded.model, loaded.example_inputs, multiple=2)
    kinds = {kind: KindInInt8(0.3, 0.0, 0.0) for kind in ("conv", "image conv", "linear")}
    mixed = replace(NO_MIXES, layers=int8_layers(network), kinds=kinds, conversion=Conversion(0.0, 0.0))
    replace(DeviceProfile.load("profile.json"), mixed=mixed).save("faster.json")
    search = ("--decide", "bits", "--budget", "latency=0.9", "--episodes", "4", "--out", "in-int8")
    called = call("train", *TINY, "--device", "faster.json", "--profile-samples", "10", *search)
    assert called.code == 0, called.err
    decisions = json.loads(Path("in-int8/plan.json").read_text())["decisions"].values()
    assert any(decision.get("activations") == 8 for decision in decisions)
    validated = call("validate", "in-int8", *TINY[:4], "--json", "--no-timing").json
    assert [claim for claim in validated["claims"] if claim["verdict"] == "differs"] == []
    outputs = [claim for claim in validated["claims"] if claim["subject"] == "pruned.onnx"]
    assert [claim["verdict"] for claim in outputs] == ["holds"]


def test_the_size_in_the_table_is_what_the_budget_counts(mixed: Path) -> None:
    result = RunFolder.open(mixed, RESULT).result()
    sizes = {row.name: row.size_bytes for row in result.rows}
    assert {name: sizes[name] for name in result.marks} == {
        name: mark.costs["size_bytes"] for name, mark in result.marks.items()
    }
    assert sizes[result.winner] <= result.limits["size_bytes"] < sizes["dense"]
    assert sizes[result.winner] < (mixed / "pruned.compact.safetensors").stat().st_size  # names and shapes


def test_the_report_names_the_compact_file_where_there_is_one(mixed: Path) -> None:
    assert (mixed / "pruned.compact.safetensors").is_file()
    assert "`pruned.compact.safetensors` its weights as stored" in (mixed / "report.md").read_text()


def test_every_plan_of_the_measured_front_is_kept_as_it_was_found(finished: FinishedRun, here: Path) -> None:
    loaded = resolve_network("tiny_networks:network")
    network = Network(loaded.model, loaded.example_inputs, multiple=2)
    names = [group.name for group in finished.result.groups]
    plans = measured_plans(finished)
    assert "finalist" in {plan.where for plan in plans}
    for plan in plans:
        decisions, wanted = plan.load().decisions, dict(zip(names, plan.choices, strict=True))
        widths = PruningPlan(network.fingerprint, decisions).widths(network).tolist()
        assert widths == [level for name, level in wanted.items() if name.endswith(" channels")]
        for name, level in wanted.items():
            layer, _, kind = name.rpartition(" ")
            stated = decisions[layer].bits if kind == "bits" and layer in decisions else None
            assert kind != "bits" or (stated or 32) == level


def test_a_budget_is_an_objective_by_itself_and_the_search_knows_it(mixed: Path, here: Path) -> None:
    found = call("front", mixed, "--json").json
    assert "size" in [objective["name"] for objective in found["objectives"]]
    searched = found["fronts"]["searched"]
    assert "size" in searched["objectives"]
    assert all("size" in plan["values"] for plan in searched["best"])


def test_other_plans_of_the_search_are_refused(finished: FinishedRun) -> None:
    kept = {plan.choices for plan in measured_plans(finished)}
    other = next(plan for plan in searched_plans(finished) if plan.choices not in kept)
    with pytest.raises(RunError, match="--among measured"):
        other.load()


def test_front_writes_the_plan_that_it_chose(mixed: Path, here: Path, tmp_path: Path) -> None:
    wanted = ("--objective", "accuracy", "--objective", "latency", "--choose", "latency", "--json")
    called: Any = call("front", mixed, *wanted, "--out", tmp_path / "front")
    assert called.code == 0, called.err
    assert json.loads((tmp_path / "front" / "plan.json").read_text())["schema"] == "rlprune-plan/2"
