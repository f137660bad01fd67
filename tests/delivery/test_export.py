"""True export to ONNX: right and silent."""

from __future__ import annotations

import re
import tomllib
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from rlprune.delivery.onnx import export, session
from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import open_session, run_onnx
from rlprune.delivery.onnx.verifying import verify_onnx
from rlprune.errors import DeviceError, NetworkError


@pytest.fixture
def model() -> nn.Module:
    torch_model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    return torch_model.append(nn.Linear(4 * 36, 3)).train()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_computes_what_torch_computes(model: nn.Module, images: torch.Tensor) -> None:
    exported = export_onnx_bytes(model, images, batch=2)
    (output,) = run_onnx(exported, input_arrays(exported, images, 2))
    with torch.no_grad():
        wanted = model.eval()(images).numpy()
    np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)
    onnx.checker.check_model(exported)
    assert str(Path(torch.__file__).parent).encode() not in exported


def test_is_silent_and_leaves_the_module_alone(
    model: nn.Module, images: torch.Tensor, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verify_onnx(export_onnx_bytes(model, images), model, images)
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


class Rich(nn.Module):
    """Nested inputs, numbers and None among them; several outputs, None among them."""

    def forward(
        self, x: torch.Tensor, state: tuple[torch.Tensor, Any], factor: float = 1.0, mask: Any = None
    ) -> dict[str, Any]:
        hidden = x + state[0] - 2 * state[1]["h"]
        return {"z": factor * hidden, "none": None, "a": (hidden.mean(1), hidden.argmax(1)), "same": x}


def rich_inputs(rows: int = 2) -> tuple[Any, ...]:
    x = torch.arange(3.0 * rows).reshape(rows, 3)
    return x, (x.flip(0) + 1, {"h": x.sin(), "unused": x.cos()}), 3.0, None


@pytest.mark.parametrize("named", [False, True])
def test_nested_inputs_constants_and_several_outputs(named: bool) -> None:
    inputs = rich_inputs()
    given = dict(zip(("x", "state", "factor", "mask"), inputs, strict=True)) if named else inputs
    exported = export_onnx_bytes(Rich(), given, batch=2)
    outputs = run_onnx(exported, input_arrays(exported, given, 2))
    wanted = Rich()(*inputs)
    for output, expected in zip(outputs, [wanted["z"], *wanted["a"], wanted["same"]], strict=True):
        np.testing.assert_allclose(output, expected.numpy(), rtol=1e-5)


def test_a_dict_in_last_place_is_an_argument_of_its_own() -> None:
    class Last(nn.Module):
        def forward(self, x: torch.Tensor, more: dict[str, torch.Tensor]) -> torch.Tensor:
            return x - more["y"]

    inputs = (torch.ones(1, 2), {"y": torch.full((1, 2), 3.0)})
    (output,) = run_onnx(exported := export_onnx_bytes(Last(), inputs), input_arrays(exported, inputs, 1))
    assert output.tolist() == [[-2.0, -2.0]]


def model_taking(*names: str, shape: tuple[int, ...] = (1, 3), kind: int = onnx.TensorProto.FLOAT) -> bytes:
    """An ONNX model with these inputs, the first of which it returns."""
    inputs = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in names]
    output = onnx.helper.make_tensor_value_info("out", kind, shape)
    node = onnx.helper.make_node("Identity", [names[0]], ["out"])
    graph = onnx.helper.make_graph([node], "graph", inputs, [output])
    return onnx.helper.make_model(graph).SerializeToString()


def test_inputs_the_model_lacks_are_left_out() -> None:
    floats, integers, wide = torch.ones(1, 3), torch.ones(1, 3, dtype=torch.long), torch.ones(1, 4)
    by_shape = input_arrays(model_taking("a"), (wide, integers, floats), 1)
    assert by_shape["a"].dtype == np.float32
    assert by_shape["a"].shape == (1, 3)
    named = {"a": floats, "b": 2 * floats, "c": 3 * floats}
    assert {key: value[0, 0] for key, value in input_arrays(model_taking("c", "a"), named, 1).items()} == {
        "c": 3,
        "a": 1,
    }


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (model_taking("a", "b"), (torch.ones(1, 3),), "takes a float32.*b float32.*fit in no way"),
        (
            model_taking("a", shape=(1, 4)),
            (torch.ones(1, 3),),
            r"takes a float32 \[1, 4\]; .* \[1, 3\] fit in no",
        ),
        (model_taking("a"), (torch.ones(1, 3), torch.zeros(1, 3)), "more than one way"),
    ],
)
def test_inputs_that_do_not_pair_are_refused(model: bytes, inputs: tuple[torch.Tensor, ...], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        input_arrays(model, inputs, 1)


def test_an_exported_network_is_compared_with_torch(model: nn.Module, images: torch.Tensor) -> None:
    exported = export_onnx_bytes(model, images)
    verify_onnx(exported, model, images)
    assert model.training
    with torch.no_grad():
        model[4].weight[1] += 0.1
    with pytest.raises(NetworkError, match=r"output 0 differs by [\d.]+ of its largest value where 0\.001 is allowed"):
        verify_onnx(exported, model, images)


def test_zeros_as_example_inputs_hide_no_difference() -> None:
    exported = export_onnx_bytes(nn.Linear(3, 2, bias=False), torch.zeros(1, 3))
    with pytest.raises(NetworkError, match="output 0 differs"):
        verify_onnx(exported, nn.Linear(3, 2, bias=False), torch.zeros(1, 3))


def test_other_outputs_are_refused() -> None:
    class Answers(nn.Module):
        def __init__(self, form: Callable[[torch.Tensor], Any]) -> None:
            super().__init__()
            self.form = form

        def forward(self, x: torch.Tensor) -> Any:
            return self.form(x)

    x = torch.ones(1, 3)
    exported = export_onnx_bytes(Answers(lambda x: x.exp()), x)
    with pytest.raises(NetworkError, match="must give 2 outputs"):
        verify_onnx(exported, Answers(lambda x: (x.exp(), x)), x)
    with pytest.raises(NetworkError, match=r"Output 0 must have shape \(1, 1\); the ONNX network gives \(1, 3\)"):
        verify_onnx(exported, Answers(lambda x: x[:, :1]), x)
    with pytest.raises(NetworkError, match="differs by nan"):
        verify_onnx(exported, Answers(lambda x: x / 0 * 0), x)
    masked = export_onnx_bytes(Answers(lambda x: x - torch.inf), x)
    verify_onnx(masked, Answers(lambda x: x - torch.inf), x)


def test_a_network_that_answers_otherwise_is_refused() -> None:
    torch.manual_seed(0)
    exported = export_onnx_bytes(Noise(), torch.ones(1, 8))
    with pytest.raises(NetworkError, match="must compute what the torch one does"):
        verify_onnx(exported, Noise(), torch.ones(1, 8))


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Branching(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images if images.sum() > 0 else -images


def test_a_failure_names_its_reason(images: torch.Tensor) -> None:
    told = r"cannot be exported to ONNX: its code decides on values that it computes \(the network itself\)"
    with pytest.raises(NetworkError, match=told) as caught:
        export_onnx_bytes(Branching(), images)
    assert "\n" not in str(caught.value)


def test_modules_that_decide_on_values_are_named(images: torch.Tensor) -> None:
    with pytest.raises(NetworkError, match=r"values that it computes \(1\), and ONNX holds one way only"):
        export_onnx_bytes(nn.Sequential(nn.ReLU(), Branching()), images)


def test_an_operator_without_onnx_form_is_named(images: torch.Tensor) -> None:
    class Odd(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = torch.special.bessel_j0(images)
            return output

    with pytest.raises(NetworkError, match="bessel_j0"):
        export_onnx_bytes(Odd(), images)


def test_too_large_networks_are_refused(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlprune.delivery.onnx.export.MAX_EMBEDDED_BYTES", 100)
    with pytest.raises(NetworkError, match="at most 100 bytes"):
        export_onnx_bytes(nn.Linear(64, 64), images)


def test_broken_models_are_refused() -> None:
    with pytest.raises(DeviceError, match="cannot load"):
        open_session(b"not a model")


class Cached(nn.Module):
    """Answers with an object that no one can look into, as caches of transformers are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return {"logits": self.layer(x), "cache": (SimpleNamespace(keys=x), 3), "none": None}


def test_an_answer_that_is_no_tensor_is_named() -> None:
    with pytest.raises(NetworkError, match=r"; cache\.0 is of class SimpleNamespace, cache\.1 is of class int\."):
        export_onnx_bytes(Cached().eval(), (torch.ones(1, 4),))


def test_a_failing_import_names_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **keywords: object) -> None:
        raise ImportError("No module named 'onnxscript._framework_apis'")

    monkeypatch.setattr(torch.onnx, "export", broken)
    installed = f"installed: onnx {version('onnx')}, onnxscript {version('onnxscript')}"
    with pytest.raises(DeviceError, match=re.escape(installed)) as caught:
        export_onnx_bytes(nn.Linear(4, 2).eval(), (torch.ones(1, 4),))
    assert export.NEEDED in str(caught.value)


def test_the_needed_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(export.NEEDED.split(", ")) <= set(project["dependencies"])


def test_the_runtime_reports_nothing_home(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(onnxruntime, "disable_telemetry_events", lambda: asked.append("off"), raising=False)
    session.onnxruntime_module()
    assert asked == ["off"]
    monkeypatch.delattr(onnxruntime, "disable_telemetry_events")
    assert session.onnxruntime_module() is onnxruntime
