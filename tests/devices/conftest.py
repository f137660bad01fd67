"""Small networks, and a recording of a device that obeys a formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.delivery.onnx.template import OnnxTemplate
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.networks.network import Network
from tests.devices.recorded import RecordedRuntime

IDENTITY = RuntimeIdentity("onnxruntime", "1.0", "CPUExecutionProvider", 1, 1, "float32")


class Residual(nn.Module):
    """A stem, a residual block and a head: two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.first = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(32)
        self.second = nn.Conv2d(32, 16, 3, padding=1)
        self.head = nn.Linear(16, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.norm(self.stem(images)))
        inner = torch.relu(self.first_norm(self.first(features)))
        output: torch.Tensor = self.head(torch.relu(features + self.second(inner)).mean((2, 3)))
        return output


def depthwise() -> nn.Module:
    """A separable convolution, flattened into two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 16, 32), nn.ReLU(), nn.Linear(32, 4),
    )  # fmt: skip


def prepared(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in eval mode with BatchNorm statistics that do something."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            width = module.num_features
            state = {name: torch.randn(width, generator=generator) for name in ("running_mean", "bias")}
            state |= {name: torch.rand(width, generator=generator) + 0.5 for name in ("running_var", "weight")}
            module.load_state_dict(state | {"num_batches_tracked": torch.tensor(1)})
    return model.eval()


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def residual_network(images: torch.Tensor) -> Network:
    return Network(prepared(Residual()), images, multiple=4)


@pytest.fixture(scope="session")
def depthwise_network(images: torch.Tensor) -> Network:
    return Network(prepared(depthwise()), images, multiple=4)


@pytest.fixture(scope="session")
def residual_template(residual_network: Network) -> OnnxTemplate:
    return OnnxTemplate(residual_network, batch=2)


@pytest.fixture(scope="session")
def depthwise_template(depthwise_network: Network) -> OnnxTemplate:
    return OnnxTemplate(depthwise_network, batch=2)


def true_latency(network: Network, widths: IntArray) -> FloatArray:
    """Milliseconds of an imagined device: an overhead, and time for multiply-adds and parameters."""
    return 0.05 + network.macs(widths) * 1e-6 + network.params(widths) * 1e-5


@pytest.fixture(scope="session")
def recording(residual_network: Network) -> Callable[..., RecordedRuntime]:
    """Makes recordings of all plans of the residual network; with noise, samples are up to 30% slower than true."""

    def make(samples: int = 40, noise: float = 0.0, seed: int = 0) -> RecordedRuntime:
        plans = choose_plans(residual_network, 10_000, seed)
        times = true_latency(residual_network, plans)
        slower = 1 + noise * np.random.default_rng(seed).random((len(plans), samples))
        rows = {tuple(int(w) for w in plan): ms * slow for plan, ms, slow in zip(plans, times, slower, strict=True)}
        return RecordedRuntime(IDENTITY, "Imagined CPU", rows)

    return make
