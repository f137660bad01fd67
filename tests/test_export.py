"""True export to ONNX: right, silent, whole or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from rlprune.errors import DeviceError, NetworkError
from rlprune.export import as_batch, export_onnx, export_onnx_bytes, input_arrays, open_session, run_onnx


@pytest.fixture
def model() -> nn.Module:
    torch_model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    return torch_model.append(nn.Linear(4 * 36, 3)).train()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_computes_what_torch_computes(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    path = export_onnx(model, images, tmp_path / "deep" / "model.onnx", batch=2)
    exported = path.read_bytes()
    (output,) = run_onnx(exported, input_arrays(exported, images, 2))
    with torch.no_grad():
        wanted = model.eval()(images).numpy()
    np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)
    onnx.checker.check_model(str(path))
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


def test_is_silent_and_leaves_the_module_alone(
    model: nn.Module, images: torch.Tensor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(model, images, tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_batch_is_fixed(model: nn.Module, images: torch.Tensor) -> None:
    for batch in (1, 5):
        graph = onnx.load_from_string(export_onnx_bytes(model, images, batch=batch)).graph
        assert [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim] == [batch, 1, 8, 8]


def test_keyword_inputs() -> None:
    class Sum(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return left + 2 * right

    inputs = {"left": torch.ones(1, 3), "right": torch.full((1, 3), 4.0)}
    exported = export_onnx_bytes(Sum(), inputs)
    (output,) = run_onnx(exported, input_arrays(exported, inputs, 1))
    assert output.tolist() == [[9.0, 9.0, 9.0]]


class Branching(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images if images.sum() > 0 else -images


def test_a_failure_names_its_reason_and_writes_nothing(images: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="cannot be exported to ONNX: ") as caught:
        export_onnx(Branching(), images, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_operator_without_onnx_form_is_named(images: torch.Tensor) -> None:
    class Odd(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = torch.special.bessel_j0(images)
            return output

    with pytest.raises(NetworkError, match="bessel_j0"):
        export_onnx_bytes(Odd(), images)


def test_unwritable_path(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="Cannot write"):
        export_onnx(model, images, tmp_path / "file" / "model.onnx")


def test_too_large_networks_are_refused(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlprune.export.MAX_EMBEDDED_BYTES", 100)
    with pytest.raises(NetworkError, match="at most 100 bytes"):
        export_onnx_bytes(nn.Linear(64, 64), images)


def test_broken_models_are_refused() -> None:
    with pytest.raises(DeviceError, match="cannot load"):
        open_session(b"not a model")


def test_as_batch_repeats_or_cuts(images: torch.Tensor) -> None:
    (three,) = as_batch((images,), 3)
    assert isinstance(three, torch.Tensor)
    assert torch.equal(three, images[[0, 1, 0]])
    named = as_batch({"images": images, "scale": torch.tensor(2.0)}, 1)
    assert isinstance(named, dict)
    assert named["images"].shape[0] == 1
    assert named["scale"].item() == 2.0
