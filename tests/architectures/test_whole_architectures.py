"""Every architecture of the collection through a search and a delivery: tables, evaluator, costs, all kinds, files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architectures import whole
from tests.architectures.catalogue import ARCHITECTURES, PARAMETERS
from tests.architectures.test_architectures import NOT_IN_ONNX, architecture_of

QUICKLY_EXPORTED = (
    "resnet-option-a", "shufflenet-v2", "convnext", "attention-packed", "lstm-two-layers", "dlrm", "bare-parameters",
)  # fmt: skip


@pytest.fixture(scope="module", params=PARAMETERS)
def prepared(request: pytest.FixtureRequest) -> whole.Whole:
    return whole.prepare(architecture_of(request.param))


def test_a_search_can_score_its_plans(prepared: whole.Whole) -> None:
    whole.check_search(prepared)


def test_costs_are_those_of_the_delivered_network(prepared: whole.Whole, tmp_path: Path) -> None:
    whole.check_costs(prepared, tmp_path)


def test_plans_are_delivered_as_files(prepared: whole.Whole, tmp_path: Path) -> None:
    whole.check_files(prepared, tmp_path)


def test_the_network_of_the_search_is_the_one_delivered(prepared: whole.Whole) -> None:
    whole.check_shell(prepared)


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICKLY_EXPORTED else pytest.param(name, marks=pytest.mark.slow)
        for name in ARCHITECTURES if name not in NOT_IN_ONNX
    ],
)  # fmt: skip
def test_delivered_networks_compute_the_same_in_onnx(name: str) -> None:
    whole.check_onnx(whole.prepare(architecture_of(name)))
