"""Every architecture of the collection against every proof."""

from __future__ import annotations

import importlib.util

import pytest

from rlprune.errors import RlpruneError
from tests.architectures import checks, convolutional, expectations, generate, planting, sequences
from tests.architectures.architecture import Architecture
from tests.architectures.catalogue import ARCHITECTURES, QUICK, parameters

NOT_IN_ONNX = {
    "volumes": "_adaptive_avg_pool3d", "transformer-complete": "data-dependent", "hf-mixtral": "decides on values",
    "lstm-projected": "initial_c", "lstm-packed": "zeros",
}  # fmt: skip
"""What torch's exporter or ONNX Runtime refuses, dense or pruned, and a part of what they say."""

PAGE = generate.PAGE.read_text().splitlines()


def architecture_of(name: str) -> Architecture:
    architecture = ARCHITECTURES[name]
    if architecture.requires is not None and importlib.util.find_spec(architecture.requires) is None:
        pytest.skip(f"needs {architecture.requires}")
    return architecture


def test_names_are_unique() -> None:
    assert len(ARCHITECTURES) == len(convolutional.ARCHITECTURES) + len(sequences.ARCHITECTURES)
    assert set(QUICK) <= ARCHITECTURES.keys()


@pytest.mark.parametrize("name", parameters(QUICK))
def test_every_proof_holds(name: str) -> None:
    architecture = architecture_of(name)
    network = checks.network_of(architecture)
    expectations.check_expectations(network, architecture)
    expectations.check_every_layer_is_explained(network)
    expectations.check_groups_are_consistent(network)
    assert generate.line(architecture, network) in PAGE, "run: python -m tests.architectures.generate"
    checks.check_running(network)
    checks.check_attributes(network)
    checks.check_training(network)
    checks.check_params(network)
    checks.check_macs(network)
    checks.check_storing(network)
    checks.check_keeping_all(network)
    checks.check_permutation(network)
    planting.check_dead_channels(network)


def test_the_page_shows_what_there_is() -> None:
    assert PAGE[-len(ARCHITECTURES) - 1].startswith("| ---")
    assert [line.split(" | ")[0] for line in PAGE[-len(ARCHITECTURES) :]] == [f"| {name}" for name in ARCHITECTURES]


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_IN_ONNX)
def test_dense_networks_that_onnx_refuses(name: str) -> None:
    network = checks.network_of(architecture_of(name))
    with pytest.raises(RlpruneError, match=NOT_IN_ONNX[name]):
        checks.onnx_answer(network.model, network)
