"""Runtimes on the processor: what they compute, what their measurements rest on, and what they refuse."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import onnxruntime_module, open_session
from rlprune.devices.host import usable_cores
from rlprune.devices.runtimes import Inference, OnnxRuntime, OpenVinoCpu, Runtime, TorchCpu
from rlprune.devices.runtimes.gpu import gpu_name
from rlprune.devices.runtimes.onnx_runtime import CPU, CUDA, TENSORRT, bound
from rlprune.errors import DeviceError, NetworkError
from rlprune.networks import surgery
from rlprune.networks.inputs import as_batch
from rlprune.networks.network import Network

WIDTHS: IntArray = np.array([4, 8])
BATCH = 3
ALL: dict[str, Callable[..., Runtime]] = {
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVinoCpu,
    "torch": TorchCpu,
    "channels-last": lambda *counts: TorchCpu(*counts, mode="channels_last"),
}


def answers(inference: Inference) -> list[npt.NDArray[Any]]:
    """Outputs of one run, whatever the runtime makes of them."""
    found: Any = inference()
    if isinstance(found, torch.Tensor):
        return [found.float().numpy()]
    return list(found if isinstance(found, list) else found.to_tuple())


def pruned(network: Network) -> nn.Module:
    return surgery.prune(network, surgery.leading_channels(network, WIDTHS))


def wanted(network: Network) -> npt.NDArray[Any]:
    inputs = as_batch(network.example_inputs, BATCH)
    assert isinstance(inputs, tuple)
    with torch.no_grad():
        return np.asarray(pruned(network)(*inputs))


@pytest.fixture(params=ALL)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return ALL[request.param](1, BATCH)


def test_computes_the_pruned_network(runtime: Runtime, residual_network: Network) -> None:
    sliced = runtime.load(residual_network, WIDTHS)
    module = runtime.load_module(pruned(residual_network), residual_network.example_inputs)
    for inference in (sliced, module):
        (output,) = answers(inference)
        np.testing.assert_allclose(output, wanted(residual_network), atol=1e-4)


def test_plans_do_not_disturb_each_other(runtime: Runtime, residual_network: Network) -> None:
    first = runtime.load(residual_network, WIDTHS)
    before = answers(first)[0].copy()
    answers(runtime.load(residual_network, residual_network.dense_widths))
    np.testing.assert_array_equal(answers(first)[0], before)


def test_times_are_positive_milliseconds(runtime: Runtime, residual_network: Network) -> None:
    times = runtime.time(runtime.load(residual_network, WIDTHS), 4)
    assert times.shape == (4,)
    assert (times > 0).all()


def test_the_identity_states_everything(runtime: Runtime) -> None:
    identity = runtime.identity
    assert runtime.available() is None
    assert runtime.device_name()
    assert identity.version
    assert (identity.threads, identity.batch, identity.precision, identity.warmup) == (1, BATCH, "float32", 1)


def test_runs_to_warm_up_are_not_timed(runtime: Runtime) -> None:
    runs: list[int] = []
    assert runtime.time(lambda: runs.append(1), 3).shape == (3,)
    assert len(runs) == 3 + runtime.identity.warmup


def test_a_device_that_disappears_is_one_clear_error(runtime: Runtime) -> None:
    def gone() -> None:
        raise RuntimeError("CUDA error: device lost\nand a page more")

    with pytest.raises(DeviceError, match=r"stopped answering \(.*device lost\)") as caught:
        runtime.time(gone, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_counts_that_cannot_be(make: Callable[..., Runtime]) -> None:
    many = usable_cores() + 1
    with pytest.raises(DeviceError, match=rf"at most the {many - 1} cores .*; {many} came. Lower --threads"):
        make(many, 1)
    for counts in ((0, 1), (1, 0)):
        with pytest.raises(DeviceError, match="1 or more"):
            make(*counts)


@pytest.mark.parametrize(
    ("make", "precision"), [(OnnxRuntime, "bfloat16"), (TorchCpu, "float16"), (OpenVinoCpu, "int8")]
)
def test_precisions_that_a_runtime_lacks(make: Callable[..., Runtime], precision: str) -> None:
    with pytest.raises(DeviceError, match=rf"must be float32.*{precision}' came"):
        make(1, 1, precision)


def test_torch_computes_in_bfloat16(residual_network: Network) -> None:
    runtime = TorchCpu(1, BATCH, "bfloat16")
    output = runtime.load(residual_network, WIDTHS)()
    assert isinstance(output, torch.Tensor)
    assert output.dtype == torch.bfloat16
    assert runtime.identity.precision == "bfloat16"
    np.testing.assert_allclose(output.float(), wanted(residual_network), rtol=0.1, atol=0.1)


def test_openvino_computes_in_what_the_processor_has(residual_network: Network) -> None:
    import openvino  # the door is for the package, not for its tests

    has = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for precision, capability in (("bfloat16", "BF16"), ("float16", "FP16")):
        if capability in has:
            (output,) = answers(OpenVinoCpu(1, BATCH, precision).load(residual_network, WIDTHS))
            np.testing.assert_allclose(output, wanted(residual_network), rtol=0.1, atol=0.1)
        else:
            with pytest.raises(DeviceError, match=f"on this processor must be .*{precision}' came"):
                OpenVinoCpu(1, BATCH, precision)


def test_openvino_compiles_as_it_was_told(residual_network: Network) -> None:
    runtime = OpenVinoCpu(min(2, usable_cores()))
    compiled = runtime.compiled(runtime.template(residual_network).sliced(WIDTHS))
    assert compiled.get_property("INFERENCE_NUM_THREADS") == runtime.identity.threads
    assert compiled.get_property("NUM_STREAMS") == 1
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"


def test_openvino_names_the_operator_it_lacks() -> None:
    class Determinant(nn.Module):
        def forward(self, matrices: torch.Tensor) -> torch.Tensor:
            determinants: torch.Tensor = torch.linalg.det(matrices)
            return determinants

    with pytest.raises(NetworkError, match="it lacks Det") as caught:
        OpenVinoCpu().load_module(Determinant(), torch.eye(3)[None])
    assert "\n" not in str(caught.value)


def test_openvino_refuses_what_is_no_network() -> None:
    with pytest.raises(DeviceError, match="OpenVINO cannot load this network: ") as caught:
        OpenVinoCpu().load_bytes(b"not a model", {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("package", "make"), [("openvino", OpenVinoCpu), ("onnxruntime", OnnxRuntime)])
def test_a_package_that_is_not_installed(
    package: str, make: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch, residual_network: Network
) -> None:
    model = export_onnx_bytes(residual_network.model, residual_network.example_inputs)
    monkeypatch.setitem(sys.modules, package, None)
    runtime = make()
    assert runtime.available() == f"the package {package} is not installed"
    assert runtime.identity.version == ""
    assert isinstance(runtime, OnnxRuntime | OpenVinoCpu)
    with pytest.raises(DeviceError, match=f"cannot be used here: the package {package} is not installed"):
        runtime.load_bytes(model, {})


# GPU providers of ONNX Runtime, with stand-ins where a GPU is asked.


@pytest.mark.parametrize("provider", [CUDA, TENSORRT])
def test_providers_that_are_missing_are_named(
    provider: str, monkeypatch: pytest.MonkeyPatch, residual_network: Network
) -> None:
    monkeypatch.setattr(onnxruntime_module(), "get_available_providers", lambda: [CPU])
    runtime = OnnxRuntime(provider=provider)
    assert runtime.identity.threads == 0
    assert runtime.available() == f"this build of onnxruntime has no {provider}; it has {CPU}"
    with pytest.raises(DeviceError, match=f"has no {provider}"):
        runtime.load_module(residual_network.model, residual_network.example_inputs)


def test_a_provider_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_module(), "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr("rlprune.devices.runtimes.onnx_runtime.gpu_name", lambda: None)
    assert OnnxRuntime(provider=CUDA).available() == "no NVIDIA GPU or driver is found"
    monkeypatch.setattr("rlprune.devices.runtimes.onnx_runtime.gpu_name", lambda: "Fake GPU")
    assert OnnxRuntime(provider=CUDA).available() is None
    assert OnnxRuntime(provider=CUDA).device_name() == "Fake GPU"


class FakeSession:
    """A session that runs on the processor, whatever provider was asked for."""

    def __init__(self, *_: object, **settings: object) -> None:
        self.settings = settings

    def get_providers(self) -> list[str]:
        return [CPU]


def test_a_session_on_another_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_module(), "InferenceSession", FakeSession)
    with pytest.raises(DeviceError, match=f"must use {CUDA}; it uses {CPU}"):
        open_session(b"", 1, CUDA)


def test_sessions_never_fall_back_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_module(), "InferenceSession", FakeSession)
    assert open_session(b"").settings["enable_fallback"] == 0


def test_bound_runs_compute_the_same(residual_network: Network) -> None:
    model = export_onnx_bytes(pruned(residual_network), residual_network.example_inputs, batch=BATCH)
    feed = input_arrays(model, residual_network.example_inputs, BATCH)
    run = bound(open_session(model), feed, "cpu")  # it holds the session, which the binding alone does not
    binding: Any = run()
    np.testing.assert_allclose(binding.copy_outputs_to_cpu()[0], wanted(residual_network), atol=1e-4)


def test_a_gpu_provider_binds_its_inputs_on_the_gpu(monkeypatch: pytest.MonkeyPatch, residual_network: Network) -> None:
    opened: list[tuple[int, str]] = []
    places: list[str] = []

    def opening(model: bytes, threads: int, provider: str) -> None:
        opened.append((threads, provider))

    monkeypatch.setattr(OnnxRuntime, "available", lambda self: None)
    monkeypatch.setattr("rlprune.devices.runtimes.onnx_runtime.open_session", opening)
    monkeypatch.setattr(
        "rlprune.devices.runtimes.onnx_runtime.bound", lambda session, feed, place: places.append(place)
    )
    OnnxRuntime(provider=TENSORRT).load_module(residual_network.model, residual_network.example_inputs)
    assert (opened, places) == ([(1, TENSORRT)], ["cuda"])


class FakeNvml:
    def __init__(self, names: list[str]) -> None:
        self.names = names

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return self.names[handle]


def test_the_gpu_is_named_by_torch_else_by_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_name(nvml=FakeNvml(["Fine GPU"])) == "Fine GPU"
    assert gpu_name(nvml=FakeNvml([])) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Torch's {device}")
    assert gpu_name() == "Torch's cuda"


# Torch.


def test_torch_times_with_its_own_threads(residual_network: Network) -> None:
    runtime = TorchCpu(1)
    seen: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runtime.time(lambda: seen.append(torch.get_num_threads()), 2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


def test_channels_last_is_how_tensors_lie(residual_network: Network) -> None:
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(4, 4, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.extend([images, self.convolution.weight])
            return images

    module, images = Spy(), torch.zeros(2, 4, 8, 8)
    TorchCpu(mode="channels_last").load_module(module, images)
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen)
    assert module.convolution.weight.is_contiguous()


def test_modes_are_known() -> None:
    with pytest.raises(DeviceError, match="Did you mean 'compile'"):
        TorchCpu(mode="compiled")


def test_a_network_that_fails_is_not_called_a_lost_device() -> None:
    class OnlyFloat32(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images @ torch.ones(2, 2)

    TorchCpu().load_module(OnlyFloat32(), torch.ones(1, 2))
    with pytest.raises(DeviceError, match="must run this network as eager in bfloat16; it said RuntimeError"):
        TorchCpu(precision="bfloat16").load_module(OnlyFloat32(), torch.ones(1, 2))


def test_compiling_asks_for_one_graph_of_fixed_shapes(
    monkeypatch: pytest.MonkeyPatch, residual_network: Network
) -> None:
    compiled: list[Any] = []
    settings: list[dict[str, Any]] = []

    def stand_in(function: Any, **given: Any) -> Any:
        compiled.append(function)
        settings.append(given)
        return function

    monkeypatch.setattr(torch, "compile", stand_in)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    runtime = TorchCpu(1, BATCH, mode="compile")
    for _ in range(2):
        (output,) = answers(runtime.load(residual_network, WIDTHS))
        np.testing.assert_allclose(output, wanted(residual_network), atol=1e-4)
    assert settings[0] == {"fullgraph": True, "dynamic": False}
    assert compiled[0].__code__ is not compiled[1].__code__  # else the ninth plan would run uncompiled
    assert runtime.identity.provider == "cpu compile"


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch, residual_network: Network) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    runtime = TorchCpu(mode="compile")
    assert runtime.available() == "torch.compile needs a compiler; none of g++, clang++ is found"
    assert TorchCpu().available() is None
    with pytest.raises(DeviceError, match="needs a compiler"):
        runtime.load(residual_network, WIDTHS)


@pytest.mark.slow
def test_every_plan_is_compiled_for_itself(residual_network: Network) -> None:
    from torch._dynamo.utils import counters

    runtime = TorchCpu(1, BATCH, mode="compile")
    if (reason := runtime.available()) is not None:
        pytest.skip(reason)
    counters.clear()
    loaded = [runtime.load(residual_network, np.array([4 + 4 * (k % 3), 8 + 4 * (k // 3)])) for k in range(9)]
    np.testing.assert_allclose(answers(loaded[0])[0], wanted(residual_network), atol=1e-4)
    for inference in loaded:
        runtime.time(inference, 2)
    assert counters["stats"]["unique_graphs"] == 9  # timing made no more, and fell back to none


def test_exported_models_are_shared(residual_network: Network, depthwise_network: Network) -> None:
    runtime = OpenVinoCpu()
    first = runtime.template(residual_network)
    assert runtime.template(residual_network) is first
    assert runtime.template(depthwise_network) is not first
    assert isinstance(onnx.load_from_string(first.sliced(WIDTHS)), onnx.ModelProto)
