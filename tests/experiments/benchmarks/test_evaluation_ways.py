from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.experiments.benchmarks import evaluation_ways
from rlprune.experiments.benchmarks.choosing_ways import TODAY, choose_ways
from rlprune.experiments.benchmarks.evaluation_ways import turn
from rlprune.experiments.benchmarks.folding import conv_norm_pairs, drop_norms, folded
from rlprune.experiments.benchmarks.shared_prefix import common_decisions, first_layers, reusable_layers, shared_prefix
from rlprune.experiments.benchmarks.ways import Subject, TorchWay
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import Split, Task


class ViewsChannels(nn.Module):
    """No BatchNorm, and a view that channels last refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.head = nn.Linear(16 * 16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.conv(x).relu().view(len(x), -1))
        return y


def random_split(samples: int, *shape: int) -> Split:
    generator = torch.Generator().manual_seed(samples)
    return Split(torch.randn(samples, *shape, generator=generator), torch.arange(samples) % 4)


def test_ways_agree_and_are_compared_with_todays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, text = tmp_path / "ways.json", tmp_path / "ways.md"
    flags = ["--network", "digits-resnet", "--plans", "3", "--repeats", "1", "--episodes", "4", "--samples", "96"]
    assert evaluation_ways.main([*flags, "--out", str(out), "--markdown", str(text)]) == 0
    [network] = json.loads(out.read_text())["networks"]
    rows = {row["way"]: row for row in network["rows"]}
    assert network["left_out"].keys() <= {name for name in network["left_out"] if name.startswith("OpenVINO")}
    assert {"torch, usual layout", TODAY, "ONNX Runtime, batches of 64", "ONNX Runtime, batches of 96"} <= rows.keys()
    running = [row for row in rows.values() if not row["batch_statistics"]]
    assert all(row["rho"] == pytest.approx(1) and row["largest_difference"] < 1e-3 for row in running)
    assert any("BatchNorm folded" in row["way"] for row in running)
    assert rows[TODAY]["total_to_today"] == 1
    assert all(row["total_ms"] > row["run_ms"] > 0 for row in rows.values())
    assert all(0 <= found["macs_share"] < 1 for found in network["shared_prefix"].values())
    assert "| torch, channels last, batch statistics |" in text.read_text()
    assert "digits-resnet" in capsys.readouterr().out


def test_ways_that_a_network_cannot_take_are_named_with_the_reason() -> None:
    network = Network(ViewsChannels(), torch.zeros(1, 3, 4, 4))
    images = random_split(70, 3, 4, 4)
    task = Task("random", calibration=images, validation=images, test=images, classes=4)
    choice = choose_ways(Subject(PruningTables(network, images), task, images))
    assert choice.reference == "torch, usual layout"
    assert choice.today == "torch, usual layout, batch statistics"
    assert "channels last" in choice.left_out["torch, channels last"]
    assert "no BatchNorm" in choice.left_out["torch, usual layout, BatchNorm folded"]
    assert all(outputs.shape == (70, 4) for outputs in choice.dense.values())


class ConvolvesTwice(nn.Sequential):
    """One input channel: its weight is stored alike in both layouts, but for the strides."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 16, 3), nn.Conv2d(16, 16, 1), nn.Flatten(), nn.Linear(64, 4))


@pytest.mark.parametrize("channels_last", [False, True])
def test_activations_have_the_layout_that_a_way_is_named_after(channels_last: bool) -> None:
    network = Network(ConvolvesTwice(), torch.zeros(1, 1, 4, 4))
    images = random_split(70, 1, 4, 4)
    task = Task("random", calibration=images, validation=images, test=images, classes=4)
    tables = PruningTables(network, images)
    subject = Subject(tables, task, images)
    way = TorchWay(subject, "any", batch=70, channels_last=channels_last)
    seen: list[bool] = []
    for module in way.module.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _m, _x, y: seen.append(not y.is_contiguous()))
    plan = [group.widths[0] for group in network.groups]
    way.start(plan, tables.tensors(plan))()
    assert seen == [channels_last] * 2


def test_folding_keeps_the_outputs() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4, affine=False)).eval()
    for norm in (model[1], model[3]):
        nn.init.uniform_(norm.running_mean), nn.init.uniform_(norm.running_var, 0.5, 2)
    images = torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        wanted = model(images)
        pairs = conv_norm_pairs(model, (images,))
        state = {key: value.clone() for key, value in model.state_dict().items()}
        changed = folded({}, state, pairs, drop_norms(model, pairs))
        model[0].load_state_dict({key.removeprefix("0."): value for key, value in changed.items()})
        assert pairs == [("0", "1")]
        assert changed.keys() == {"0.weight", "0.bias"}
        torch.testing.assert_close(model(images), wanted)


def test_a_plan_shares_what_lies_before_its_first_difference() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 2))
    network = Network(model, torch.zeros(1, 4), multiple=1)
    plans = np.array([[8, 8, 8], [8, 8, 4], [8, 2, 4], [8, 2, 8], [1, 8, 8]])
    assert first_layers(network).tolist() == [0, 1, 2]
    assert common_decisions(plans).tolist() == [0, 2, 1, 2, 0]
    assert reusable_layers(network, plans).tolist() == [0, 2, 1, 2, 0]
    found = shared_prefix(network, plans, np.array([0.0, 0.25, 0.5, 0.75, 1.0]))
    shares = [0, 96 / (96 + 32 + 8), 32 / (32 + 16 + 8 + 8), 48 / (48 + 16 + 16), 0]
    assert found["macs_share"] == pytest.approx(np.mean(shares))
    assert found["time_share"] == pytest.approx((0.5 + 0.25 + 0.5) / 5)


def test_every_way_comes_first_in_turn() -> None:
    ways = list("abc")
    assert [turn(ways, index)[0] for index in range(6)] == ["a", "a", "c", "c", "b", "b"]  # type: ignore[arg-type]


def test_too_few_plans_end_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluation_ways.main(["--network", "digits-resnet", "--plans", "1"]) == 2
    assert "At least 2 plans" in capsys.readouterr().err
