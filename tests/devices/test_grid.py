"""Profiles put together from kinds of layers, on an invented device whose latency is a sum over layers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.costs import LatencyCost
from rlprune.devices.grid import LayerProfile, build_layer_profile
from rlprune.devices.grid.fitting import KNOTS, hats
from rlprune.devices.grid.probes import probes, spread_plans
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiles.digest import sealed
from rlprune.devices.profiles.predictor import timed_layers
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.runtimes import OnnxRuntime
from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.errors import DeviceError, ProfileError
from rlprune.networks.network import Network
from rlprune.zoo.resnet import ResNet

SIZES = (7, 14, 28)


def true_latency(network: Network, widths: IntArray) -> FloatArray:
    """Milliseconds: a call, each layer, and multiply-adds that cost less in 1x1 convolutions."""
    known = {layer.name for layer in timed_layers(network)}
    price = [(0.6 if layer.kernel == (1, 1) else 1.0) * (layer.name in known) for layer in network.layers]
    return 0.01 + 0.002 * len(known) + network.layer_macs(widths) @ np.array(price) * 1e-6


class Invented(Runtime):
    """Obeys :func:`true_latency`; may stop answering after some timings.

    With a block, channels cost as much as its next multiple; with drift, every plan that is loaded slows it down.
    """

    identity = RuntimeIdentity("onnxruntime", "0.0", "InventedProvider", 1, 1, "float32", warmup=0)
    round_s = 0.0

    def __init__(self, fails_after: int = 10**9, block: int = 1, drift: float = 0.0) -> None:
        self.left = fails_after
        self.block, self.drift, self.loaded = block, drift, 0

    def available(self) -> str | None:
        return None

    def device_name(self) -> str:
        return "Invented processor"

    def load(self, network: Network, widths: IntArray) -> Inference:
        self.loaded += 1
        rounded = np.minimum(-(-widths // self.block) * self.block, network.dense_widths)
        latency = float(true_latency(network, rounded[None])[0])
        return lambda: latency

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        raise NotImplementedError

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        self.left -= 1
        if self.left < 0:
            raise DeviceError("The device stopped answering.")
        return np.full(repeats, inference() * (1 + self.drift * self.loaded))


def build(runtime: Runtime, path: Path | None = None) -> LayerProfile:
    return build_layer_profile(runtime, PowerModel(10.0), sizes=SIZES, plans=16, samples=10, path=path)


@pytest.fixture(scope="module")
def profile() -> LayerProfile:
    return build(Invented())


@pytest.fixture(scope="module")
def network() -> Network:
    """Of known kinds of layers, at widths and sizes that no probe has."""
    model = ResNet((24, 40), blocks=2, in_channels=3)
    return Network(model.eval(), torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0)))


def test_an_unseen_network_is_predicted(profile: LayerProfile, network: Network) -> None:
    made = profile.for_network(network)
    plans = choose_plans(network, 60, seed=3)
    errors = made.predictor.bind(network)(plans) / true_latency(network, plans) - 1
    assert np.median(np.abs(errors)) < 0.03
    assert np.abs(errors).max() < 0.1
    assert made.dense_latency_ms == pytest.approx(true_latency(network, network.dense_widths[None])[0], rel=0.1)
    assert made.basis == "layers"
    assert made.measured == ()
    assert made.held_out == profile.network_error
    assert profile.network_error.worst < 0.15
    assert any("was not measured" in note for note in made.warnings())
    made.check(network)


def test_drift_between_batches_cancels(profile: LayerProfile, network: Network) -> None:
    drifted = build(Invented(drift=0.001))
    plans = choose_plans(network, 40, seed=3)
    seen, undisturbed = (made.predictor(network).bind(network)(plans) for made in (drifted, profile))
    ratio = seen / undisturbed
    assert np.ptp(ratio) < 0.02 * ratio.mean()  # the speed of the first batch, for all
    assert drifted.network_error.median == pytest.approx(profile.network_error.median, abs=0.01)


def test_only_widths_that_pay_are_offered_and_checked() -> None:
    made = build(Invented(block=16))
    assert made.block == 16
    model = ResNet((32, 64), blocks=1, in_channels=3).eval()
    widths = made.for_network(Network(model, torch.randn(1, 3, 14, 14))).widths
    assert all(width % 16 == 0 for each in widths.values() for width in each)
    assert made.network_error.median < 0.05


def test_latency_never_falls_when_a_width_rises(profile: LayerProfile, network: Network) -> None:
    made = profile.for_network(network)
    plans = choose_plans(network.restricted(made.widths), 200, seed=0)
    costs = LatencyCost(network, made)(plans)
    above = (plans[:, None] >= plans[None]).all(axis=2)
    assert (costs[:, None] >= costs[None] - 1e-12)[above].all()
    assert above.sum() > len(plans)


def test_round_trips(profile: LayerProfile, network: Network, tmp_path: Path) -> None:
    loaded = LayerProfile.load(profile.save(tmp_path / "layers.json"))
    assert loaded == profile
    assert DeviceProfile.load(profile.for_network(network).save(tmp_path / "made.json")) == loaded.for_network(network)


def test_unknown_kinds_are_named(profile: LayerProfile) -> None:
    strange = Network(nn.Sequential(nn.Conv2d(3, 16, 9), nn.ReLU(), nn.Conv2d(16, 4, 1)), torch.randn(1, 3, 16, 16))
    with pytest.raises(ProfileError, match=r"0 \(image conv 9x9\) are unknown to it, with 9\d% of the multiply-adds"):
        profile.for_network(strange)


def test_negligible_unknown_kinds_and_sizes_outside_the_grid_are_noted(profile: LayerProfile) -> None:
    inner = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*inner, nn.Conv2d(64, 64, (3, 1), groups=64), nn.ReLU(), nn.Conv2d(64, 64, 3))
    notes = " ".join(profile.for_network(Network(model, torch.randn(1, 3, 96, 96))).notes)
    assert "taken to cost nothing: 4 (depthwise 3x1)" in notes
    assert "Outside the measured grid" in notes
    assert "Not counted" not in notes


def test_modules_between_layers_that_no_probe_has_are_noted(profile: LayerProfile) -> None:
    layers = (nn.Conv2d(3, 16, 3), nn.Hardswish(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))
    notes = " ".join(profile.for_network(Network(nn.Sequential(*layers), torch.randn(1, 3, 16, 16))).notes)
    assert "Not counted" in notes
    assert "Hardswish" in notes
    assert "ReLU," not in notes.partition("only: ")[2]


def test_grouped_convolutions_are_a_kind_of_their_own(profile: LayerProfile) -> None:
    inner = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1, groups=4), nn.ReLU()]
    grouped = Network(nn.Sequential(*inner, nn.Conv2d(32, 4, 1)), torch.randn(1, 3, 14, 14))
    with pytest.raises(ProfileError, match=r"2 \(grouped conv 3x3\)"):
        profile.for_network(grouped)


def test_a_first_layer_that_was_not_measured_on_images_is_noted(profile: LayerProfile) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 32, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 4, 1)
    )
    notes = " ".join(profile.for_network(Network(model, torch.randn(1, 3, 14, 14))).notes)
    assert "costs of wider convolutions were taken: 0 (image conv 1x1)" in notes


@pytest.mark.slow
def test_interrupted_and_resumed_equals_unbroken(profile: LayerProfile, tmp_path: Path) -> None:
    path = tmp_path / "layers.json"
    with pytest.raises(DeviceError, match=r"stopped answering.*kept in"):
        build(Invented(fails_after=500), path)
    assert not path.exists()
    resumed = build(Invented(), path)
    timeless = tuple(replace(session, created="", other_load=None) for session in profile.sessions)
    again = tuple(replace(session, created="", other_load=None) for session in resumed.sessions)
    assert again == timeless
    assert replace(resumed, created="", sessions=timeless) == replace(profile, created="", sessions=timeless)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (("schema",), "rlprune-layer-profile/2", "newer rlprune"),
        (("schema",), "rlprune-device-profile/2", "must have the schema"),
        (("block",), 0, "block: expected int >= 1; 0 came"),
        (("intercept_ms",), -1.0, "intercept_ms: expected float >= 0.0; -1.0 came"),
        (("kinds", 0, "each_ms"), float("nan"), "NaN is no finite number"),
        (("kinds", 0, "kernel"), [0], r"kinds\[0\].kernel\[0\]: expected int >= 1; 0 came"),
        (("kinds", 0, "knots"), [], r"kinds\[0\].knots: expected array of length >= 1"),
        (("kinds", 0, "knots", 0, "magic"), 1.0, r"kinds\[0\].knots\[0\]: .*unknown field.*magic"),
        (("kinds", 0, "knots", 0, "positions"), 0, r"kinds\[0\].knots\[0\].positions: expected int >= 1; 0 came"),
        (("network_error",), "small", "network_error: expected object, got str"),
    ],
)
def test_bad_files(profile: LayerProfile, tmp_path: Path, keys: tuple[Any, ...], value: Any, told: str) -> None:
    path = profile.save(tmp_path / "layers.json")
    whole = inner = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(sealed(whole)))
    with pytest.raises(ProfileError, match=told):
        LayerProfile.load(path)


def test_edited_and_truncated_files(profile: LayerProfile, tmp_path: Path) -> None:
    path = profile.save(tmp_path / "layers.json")
    text = path.read_text()
    path.write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ProfileError, match="edited"):
        LayerProfile.load(path)
    path.write_text(text[:-50])
    with pytest.raises(ProfileError, match="truncated"):
        LayerProfile.load(path)


@pytest.mark.parametrize("positions", [0.5, 1, 3, 16, 20, 100, 3136, 9999])
def test_hats_share_one(positions: float) -> None:
    shares = hats(positions, KNOTS)
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) > 0
    assert len(shares) <= 2
    if positions in KNOTS:
        assert shares == {int(positions): 1.0}


def test_plans_meet_narrow_and_wide_widths_alike() -> None:
    probe = next(iter(probes((28,))))
    plans = spread_plans(probe.network, 40, seed=0)
    low = np.array([group.widths[0] for group in probe.network.groups])
    levels = np.log(plans / low) / np.log(probe.network.dense_widths / low)
    assert len(np.unique(plans, axis=0)) == 40
    assert 0.35 < levels.mean() < 0.65
    assert (plans[0] == probe.network.dense_widths).all()
    assert (plans[1] == low).all()


@pytest.mark.slow
def test_onnx_runtime_for_real(tmp_path: Path) -> None:
    found = build_layer_profile(OnnxRuntime(), sizes=(7, 14), plans=8, samples=10, path=tmp_path / "layers.json")
    assert LayerProfile.load(tmp_path / "layers.json") == found
    assert 0 < found.network_error.median < 1
    assert 24 <= found.network_error.plans <= 48
