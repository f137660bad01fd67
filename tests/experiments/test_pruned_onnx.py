"""The ONNX file of a run is there and right, or not there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from rlprune.delivery import Delivered
from rlprune.experiments.outputs import write_network
from rlprune.experiments.progress import Progress
from rlprune.storage import Stored, load_compact


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def write(module: nn.Module, folder: Path, bits: int = 32) -> list[str]:
    run: Any = SimpleNamespace(path=folder)
    whole = nn.Sequential(nn.Linear(4, 2), module)
    stored = {"0.weight": Stored(bits)} if bits < 32 else {}
    item: Any = SimpleNamespace(module=whole, delivered=Delivered(whole, stored))
    evaluator = SimpleNamespace(task=SimpleNamespace(calibration=None))  # ranges are for layers in int8 alone
    problem: Any = SimpleNamespace(network=SimpleNamespace(example_inputs=(torch.ones(1, 4),)), evaluator=evaluator)
    write_network(run, item, problem, 1, Progress())
    return sorted(path.name for path in folder.iterdir())


def test_both_files_are_written(tmp_path: Path) -> None:
    assert write(nn.ReLU(), tmp_path) == ["pruned.onnx", "pruned.safetensors"]


def test_a_network_with_treated_weights_has_a_compact_file_too(tmp_path: Path) -> None:
    files = ["pruned.compact.safetensors", "pruned.onnx", "pruned.safetensors"]
    assert write(nn.ReLU(), tmp_path, bits=8) == files
    assert load_compact(tmp_path / files[0]).keys() == load_file(tmp_path / files[2]).keys() == {"0.weight", "0.bias"}


@pytest.mark.parametrize(
    ("module", "reason"),
    [(Noise(), "must compute what the torch one does"), (Branching(), "cannot be exported to ONNX")],
)
def test_a_network_without_onnx_form_costs_no_run(
    module: nn.Module, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write(module, tmp_path) == ["pruned.safetensors"]
    told = capsys.readouterr().err
    assert told.startswith("pruned.onnx is not written: ")
    assert reason in told
