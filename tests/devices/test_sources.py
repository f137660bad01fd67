"""Where a profile comes from: a file of either kind, or the profiles that ship."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlprune.devices import resolve_device
from rlprune.devices.grid import LayerProfile
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.ready import FOLDER, ready_files, ready_names
from rlprune.devices.sources import ReadyProfiles, is_source, open_source
from rlprune.errors import DeviceError, ProfileError
from rlprune.networks.network import Network
from rlprune.zoo import ZOO, load_zoo, zoo_entry
from rlprune.zoo.resnet import ResNet

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def profile(residual_network: Network, recording: Make) -> DeviceProfile:
    return build_profile(residual_network, recording(), PowerModel(1.0), Effort(plans=16, checks=4, samples=10))


def test_names_and_files() -> None:
    assert is_source("ready:epyc-onnxruntime")
    assert is_source("here.json")
    assert not is_source("cpu:openvino")


def test_a_file_is_told_by_its_schema(profile: DeviceProfile, residual_network: Network, tmp_path: Path) -> None:
    path = profile.save(tmp_path / "here.json")
    assert open_source(str(path)) == profile
    assert profile.for_network(residual_network) is profile
    path.write_text(json.dumps({"schema": "something/1"}))
    with pytest.raises(ProfileError, match="must have the schema"):
        open_source(str(path))


def test_ready_profiles_choose_by_network(
    profile: DeviceProfile, residual_network: Network, depthwise_network: Network, tmp_path: Path
) -> None:
    profile.save(tmp_path / "box-onnxruntime--residual.json")
    ready = ReadyProfiles("box-onnxruntime", tmp_path)
    assert (ready.device, ready.runtime) == (profile.device, profile.runtime)
    assert ready.for_network(residual_network) == profile
    with pytest.raises(ProfileError, match="holds profiles of residual, none of this network"):
        ready.for_network(depthwise_network)


def test_an_unknown_ready_profile_offers_the_nearest() -> None:
    with pytest.raises(DeviceError, match=r"Did you mean 'epyc-onnxruntime'"):
        resolve_device("ready:epyc-onnxruntim")


@pytest.mark.parametrize("name", ready_names())
def test_what_ships_fits_the_zoo_and_states_a_small_error(name: str) -> None:
    files = ready_files(name)
    convolutional = [network for network in ZOO if network != "fashion-dense"]  # its 0.01 ms are mostly the call
    assert set(files) == {*convolutional, "layers"}
    assert sum(path.stat().st_size for path in files.values()) < 500_000
    source = open_source(f"ready:{name}")
    for network_name in convolutional:
        network = Network(load_zoo(network_name), zoo_entry(network_name).example_inputs())
        made = source.for_network(network)
        assert made.basis == "network"
        assert made.held_out.median < 0.05
        assert made.held_out.p90 < 0.10
        assert any("this machine is Another" in warning for warning in made.warnings("Another"))


@pytest.mark.parametrize("name", ready_names())
def test_what_ships_fits_other_networks_by_their_layers(name: str) -> None:
    import torch

    network = Network(ResNet((16, 48), blocks=1, in_channels=3).eval(), torch.zeros(1, 3, 24, 24))
    made = open_source(f"ready:{name}").for_network(network)
    assert made.basis == "layers"
    assert 0.005 < made.dense_latency_ms < 5
    layers = LayerProfile.load(ready_files(name)["layers"])
    assert layers.network_error.median < 0.15


def test_the_profiles_of_the_documentation_ship() -> None:
    assert {"epyc-onnxruntime", "epyc-openvino"} <= set(ready_names())
    assert all("--" in path.stem for path in FOLDER.glob("*.json"))
