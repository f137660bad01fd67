"""The ONNX file of a run is there and right, or not there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from rlprune.delivery.compact import file as storage
from rlprune.delivery.compact.file import load_compact, save_compact
from rlprune.delivery.compact.packing import Stored, treated
from rlprune.delivery.delivered import Delivered
from rlprune.errors import NetworkError
from rlprune.experiments.pipeline.delivering import network_files


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def write(module: nn.Module, folder: Path, bits: int = 32) -> tuple[list[str], list[str]]:
    """What is said of the files, and their names."""
    whole = nn.Sequential(nn.Linear(4, 2), module)
    stored = {"0.weight": Stored(bits)} if bits < 32 else {}
    for key, how in stored.items():  # as a plan delivers it
        whole.load_state_dict({**whole.state_dict(), key: treated(whole.state_dict()[key], how)})
    network: Any = SimpleNamespace(example_inputs=(torch.ones(1, 4),))
    files = network_files(Delivered(whole, stored), network, cast("Any", None))  # ranges are for layers in int8 alone
    files.write(folder)
    return files.notes, sorted(path.name for path in folder.iterdir())


def test_both_files_are_written(tmp_path: Path) -> None:
    assert write(nn.ReLU(), tmp_path) == ([], ["pruned.onnx", "pruned.safetensors"])


def test_a_network_with_treated_weights_has_a_compact_file_too(tmp_path: Path) -> None:
    files = ["pruned.compact.safetensors", "pruned.onnx", "pruned.safetensors"]
    notes, names = write(nn.ReLU(), tmp_path, bits=8)
    assert names == files
    assert notes[0].startswith("Weights in pruned.onnx: ")
    assert load_compact(tmp_path / files[0]).keys() == load_file(tmp_path / files[2]).keys() == {"0.weight", "0.bias"}


@pytest.mark.parametrize(
    ("module", "reason"),
    [(Noise(), "must compute what the torch one does"), (Branching(), "cannot be exported to ONNX")],
)
def test_a_network_without_onnx_form_costs_no_run(module: nn.Module, reason: str, tmp_path: Path) -> None:
    notes, names = write(module, tmp_path)
    assert names == ["pruned.safetensors"]
    assert notes[0].startswith("pruned.onnx is not written: ")
    assert reason in notes[0]


def test_a_compact_file_that_would_not_be_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_FILE_BYTES", 100)
    notes, names = write(nn.ReLU(), tmp_path, bits=8)
    assert names == ["pruned.onnx", "pruned.safetensors"]
    assert notes[0].startswith("pruned.compact.safetensors is not written: A compact file has at most 100 bytes")
    with pytest.raises(NetworkError, match="at most 100 bytes"):
        save_compact(tmp_path / "net.safetensors", {"w": torch.ones(8, 8)}, {"w": Stored(8)})
    assert not (tmp_path / "net.safetensors").exists()
