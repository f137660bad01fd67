"""Every architecture of the collection against every proof."""

from __future__ import annotations

import importlib.util

import pytest

from rlprune.errors import RlpruneError
from rlprune.networks.network import Network
from tests.architectures import checks, convolutional, expectations, generate, planting, sequences
from tests.architectures.architecture import Architecture
from tests.architectures.catalogue import ARCHITECTURES, PARAMETERS

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


@pytest.fixture(scope="module", params=PARAMETERS)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return architecture_of(request.param)


@pytest.fixture(scope="module")
def network(architecture: Architecture) -> Network:
    return checks.network_of(architecture)


def test_names_are_unique() -> None:
    assert len(ARCHITECTURES) == len(convolutional.ARCHITECTURES) + len(sequences.ARCHITECTURES)


def test_groups_are_those_a_person_expects(network: Network, architecture: Architecture) -> None:
    expectations.check_expectations(network, architecture)


def test_every_layer_is_explained(network: Network) -> None:
    expectations.check_every_layer_is_explained(network)


def test_groups_are_consistent(network: Network) -> None:
    expectations.check_groups_are_consistent(network)


def test_pruned_networks_run(network: Network) -> None:
    checks.check_running(network)


def test_modules_of_pruned_networks_know_their_sizes(network: Network) -> None:
    checks.check_attributes(network)


def test_pruned_networks_train(network: Network) -> None:
    checks.check_training(network)


def test_pruned_networks_have_the_predicted_parameters(network: Network) -> None:
    checks.check_params(network)


def test_pruned_networks_have_the_predicted_macs(network: Network) -> None:
    checks.check_macs(network)


def test_pruned_networks_are_copied_and_stored(network: Network) -> None:
    checks.check_storing(network)


def test_keeping_all_channels_changes_nothing(network: Network) -> None:
    checks.check_keeping_all(network)


def test_shuffling_all_channels_changes_nothing(network: Network) -> None:
    checks.check_permutation(network)


def test_pruning_dead_channels_changes_nothing(network: Network) -> None:
    planting.check_dead_channels(network)


def test_the_page_of_architectures_is_current(network: Network, architecture: Architecture) -> None:
    assert generate.line(architecture, network) in PAGE, "run: python -m tests.architectures.generate"


def test_the_page_shows_what_there_is() -> None:
    assert PAGE[-len(ARCHITECTURES) - 1].startswith("| ---")
    assert [line.split(" | ")[0] for line in PAGE[-len(ARCHITECTURES) :]] == [f"| {name}" for name in ARCHITECTURES]


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_IN_ONNX)
def test_dense_networks_that_onnx_refuses(name: str) -> None:
    network = checks.network_of(architecture_of(name))
    with pytest.raises(RlpruneError, match=NOT_IN_ONNX[name]):
        checks.onnx_answer(network.model, network)
