"""The ONNX file of a run is there and right, or not there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from rlprune.experiments.outputs import write_network
from rlprune.experiments.progress import Progress


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def write(module: nn.Module, folder: Path) -> list[str]:
    run: Any = SimpleNamespace(path=folder)
    item: Any = SimpleNamespace(module=nn.Sequential(nn.Linear(4, 2), module))
    problem: Any = SimpleNamespace(network=SimpleNamespace(example_inputs=(torch.ones(1, 4),)))
    write_network(run, item, problem, 1, Progress())
    return sorted(path.name for path in folder.iterdir())


def test_both_files_are_written(tmp_path: Path) -> None:
    assert write(nn.ReLU(), tmp_path) == ["pruned.onnx", "pruned.safetensors"]


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
