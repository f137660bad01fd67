from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from rlprune.errors import PlanError
from rlprune.networks.network import Network
from rlprune.plans.decision import Decision
from rlprune.plans.plan import PruningPlan
from tests.models import build, images


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(build("residual"), images(1))


def test_a_plan_survives_its_file(network: Network, tmp_path: Path) -> None:
    plan = PruningPlan.from_widths(network, [4, 6, 8, 12], notes={"score": 0.9})
    plan.save(tmp_path / "plan.json")
    again = PruningPlan.load(tmp_path / "plan.json")
    assert again == plan
    np.testing.assert_array_equal(again.widths(network), [4, 6, 8, 12])


def test_keeping_everything_changes_nothing(network: Network) -> None:
    plan = PruningPlan.from_widths(network, network.dense_widths)
    torch.testing.assert_close(plan.apply(network).eval()(images(8)), network.model(images(8)), atol=1e-6, rtol=1e-5)


def test_an_applied_plan_is_smaller_and_keeps_the_largest_channels(network: Network) -> None:
    pruned = PruningPlan.from_widths(network, [4, 8, 16, 16]).apply(network)
    stem = pruned.get_parameter("stem.weight")
    assert stem.shape[0] == 4
    assert sum(p.numel() for p in pruned.parameters()) == network.params([4, 8, 16, 16])[0]


@pytest.mark.parametrize(("ratio", "width"), [(0.37, 2), (0.375, 3), (0.01, 2), (0.99, 8)])
def test_ratios_that_are_no_number_of_channels_round_to_the_nearest_allowed_width_and_never_to_none(
    network: Network, ratio: float, width: int
) -> None:
    decisions = {group.name: Decision(ratio if group.name == "stem" else 1.0) for group in network.groups}
    assert PruningPlan(network.fingerprint, decisions).widths(network)[0] == width


@pytest.mark.parametrize("multiple", [1, 8, 32])
def test_a_plan_is_applied_as_it_was_made_whatever_widths_are_allowed_now(multiple: int, tmp_path: Path) -> None:
    inputs = images(1)
    fine = Network(build("residual"), inputs, multiple=1)
    path = PruningPlan.from_widths(fine, [5, 3, 7, 13]).save(tmp_path / "plan.json")
    network = Network(build("residual"), inputs, multiple=multiple)
    plan = PruningPlan.load(path)
    assert plan.widths(network).tolist() == plan.levels(plan.space(network)).tolist() == [5, 3, 7, 13]
    assert sum(p.numel() for p in plan.apply(network).parameters()) == network.params([5, 3, 7, 13])[0]


@pytest.mark.parametrize("ratio", [0, 1.5, -0.5, float("nan"), "0.5", True])
def test_a_keep_ratio_outside_0_to_1_is_refused(ratio: object) -> None:
    with pytest.raises(PlanError, match=r"keep_ratio must be a number in \(0, 1\]"):
        Decision(ratio)  # type: ignore[arg-type]


def test_a_plan_of_another_network_names_the_first_difference(network: Network) -> None:
    other = Network(build("depthwise"), images(1))
    with pytest.raises(PlanError, match="group 0 is 'stem' in the plan and 'expand' in the network"):
        PruningPlan.from_widths(network, network.dense_widths).apply(other)


@pytest.mark.parametrize("built", [{"only": ["stem"]}, {"ignore": ["stem"]}])
def test_a_plan_made_for_some_of_the_groups_names_what_its_network_was_built_with(
    network: Network, built: dict[str, list[str]]
) -> None:
    some = Network(build("residual"), images(1), ignore=built.get("ignore", []), only=built.get("only", []))
    plan = PruningPlan.from_widths(some, some.dense_widths, {"ignore": [], "only": [], "outputs": [], **built})
    plan.apply(some)
    name, value = next(iter(built.items()))
    with pytest.raises(PlanError, match=re.escape(f"build Network(model, example_inputs, {name}={value}).")):
        plan.apply(network)


def test_a_plan_for_another_input_size_is_refused(network: Network) -> None:
    larger = Network(build("residual"), torch.zeros(1, 1, 16, 16))
    with pytest.raises(PlanError, match="input size differ"):
        PruningPlan.from_widths(network, network.dense_widths).widths(larger)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ('{"schema": "rlprune-plan/3"}', "schema"),
        ('{"schema": "rlprune-plan/2"}', "'decisions'"),
        ('{"schema": "rlprune-plan/1", "fingerprint": 3, "decisions": {}}', "fingerprint"),
        ('{"schema": "rlprune-plan/1", "fingerprint": "x", "decisions": {"a": {}}}', "'a'"),
        ('{"schema": "rlprune-plan/1", "fingerprint": "x", "decisions": {"a": {"keep_ratio": 0}}}', "'a': keep_ratio"),
        ('{"schema": "rlprune-plan/1", "fingerprint": "x", "decisions": {"a": {"keep_ratio": 1.5}}}', "1.5 came"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(PlanError, match=message):
        PruningPlan.load(path)


def test_the_file_is_readable(network: Network, tmp_path: Path) -> None:
    PruningPlan.from_widths(network, [4, 8, 8, 16]).save(tmp_path / "plan.json")
    data = json.loads((tmp_path / "plan.json").read_text())
    assert data["decisions"]["stem"] == {"keep_ratio": 0.5}
