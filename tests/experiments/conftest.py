"""A tiny network, its task and a profile of an invented device, as a user would bring them."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.experiments.cli import main
from rlprune.networks.network import Network
from rlprune.zoo import resolve_network

MODULE = """
import torch
from torch import nn

from rlprune.tasks import Split, Task


def build(widths, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers, into = [], 1
        for width in widths:
            layers += [nn.Conv2d(into, width, 3, padding=1), nn.BatchNorm2d(width, momentum=1.0), nn.ReLU()]
            into = width
        model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(into, 4))
        with torch.no_grad():
            outputs = model(images(256, 9))  # as training does, else own statistics are nobody's
            model[-1].bias -= outputs.mean(dim=0)  # so that there is more than one class
        return model.eval()


def images(count, seed):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def network():
    return build((16, 16, 32, 32), 0), images(1, 0)


def wider():
    return build((16, 32, 32, 16), 1), images(1, 0)


def make_task(model, shift=0):
    def split(count, seed):
        x = images(count, seed)
        with torch.no_grad():
            return Split(x, model(x).argmax(dim=1) + shift)

    return Task("tiny", calibration=split(64, 1), validation=split(48, 2), test=split(40, 3), classes=4)


def task():
    return make_task(network()[0])


def wider_task():
    return make_task(wider()[0])


def colour_task():
    split = Split(torch.zeros(8, 3, 8, 8), torch.zeros(8, dtype=torch.long))
    return Task("colours", calibration=split, validation=split, test=split, classes=4)


class Fragile(Task):
    asked = 0

    def score(self, outputs, targets):
        Fragile.asked += 1
        return float("nan") if Fragile.asked in Fragile.undefined else super().score(outputs, targets)


def fragile_task():
    Fragile.asked, Fragile.undefined = 0, range(27, 28)
    made = task()
    return Fragile(
        "fragile", calibration=made.calibration, validation=made.validation, test=made.test, classes=4
    )


def undefined_task():
    fragile = fragile_task()
    Fragile.undefined = range(10**9)
    return fragile


def bad_labels():
    return make_task(network()[0], shift=4)


def bad_weights():
    model, inputs = network()
    with torch.no_grad():
        model[0].weight[0] = float("nan")
    return model, inputs


def bad_outputs():
    class Logarithm(nn.Module):
        def forward(self, x):
            return x.log()

    model, inputs = network()
    return nn.Sequential(*model, Logarithm()), inputs


def random_outputs():
    class Noise(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    model, inputs = network()
    return nn.Sequential(*model, Noise()), inputs


def bad_inputs():
    return network()[0], torch.zeros(1, 3, 8, 8)


def nothing_to_prune():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), images(1, 0)


def without_inputs():
    return network()[0]


def bad_images():
    made = task()
    blank = Split(torch.full((8, 1, 8, 8), float("nan")), torch.zeros(8, dtype=torch.long))
    return Task("blank", calibration=made.calibration, validation=blank, test=made.test, classes=4)


def leaking_task():
    made = task()
    return Task("leaking", calibration=made.calibration, validation=made.test, test=made.test, classes=4)


def number():
    return 3


def interrupts():
    raise KeyboardInterrupt


def leaves():
    raise SystemExit(0)


def not_exportable():
    class Eigenvalues(nn.Module):
        def forward(self, x):
            return x + torch.linalg.eigvals(torch.eye(2)).real.sum()

    model, inputs = network()
    return nn.Sequential(*model, Eigenvalues()), inputs


def fails():
    raise OSError("the disk\\nis on fire")
"""


class InventedRuntime(Runtime):
    """A device whose latency is a sum over layers, exactly."""

    identity = RuntimeIdentity("onnxruntime", "0.0", "InventedProvider", 1, 1, "float32")

    def available(self) -> str | None:
        return None

    def device_name(self) -> str:
        return "Invented processor"

    def load(self, network: Network, widths: IntArray) -> Inference:
        latency = 0.01 + float(network.macs(widths)[0]) / 1e6
        return lambda: latency

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        raise NotImplementedError

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        return np.full(repeats, inference())


@dataclass(frozen=True)
class Called:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("rlprune:")]


def call(*arguments: object) -> Called:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Called(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def make_workplace(folder: Path) -> Path:
    """Put ``tiny_networks.py`` and a ``profile.json`` of its network into a folder."""
    (folder / "tiny_networks.py").write_text(MODULE)
    with inside(folder):
        loaded = resolve_network("tiny_networks:network")
        network = Network(loaded.model, loaded.example_inputs, multiple=2)
        path = folder / "profile.json"
        build_profile(network, InventedRuntime(), PowerModel(5.0), Effort(plans=24, checks=4, samples=10), path=path)
    return folder


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tiny_networks.py`` and a ``profile.json`` of its network."""
    return make_workplace(tmp_path_factory.mktemp("workplace"))


@pytest.fixture
def here(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workplace, as the working folder."""
    monkeypatch.chdir(workplace)
    return workplace


TINY = ("--network", "tiny_networks:network", "--task", "tiny_networks:task", "--samples", "32", "--multiple", "2")
INVENTED = ("--device", "profile.json", "--budget", "latency=0.5", "--profile-samples", "10")
QUICK = (*INVENTED, "--episodes", "12", "--finalists", "3")

Call = Callable[..., Called]
Train = Callable[..., Called]


def _train(out: object, *more: object) -> Called:
    return call("train", *TINY, *QUICK, "--out", out, *more)


@pytest.fixture(name="call")
def call_fixture() -> Call:
    """Runs the command line in this process."""
    return call


@pytest.fixture
def train(here: Path) -> Train:
    """Runs a quick training on the invented device into a folder; later flags win."""
    return _train


@dataclass(frozen=True)
class Trained:
    """A run that every test may read."""

    path: Path
    called: Called


def train_quickly(workplace: Path) -> Trained:
    """A quick run with the DDPG agent in a workplace, answered as JSON."""
    with inside(workplace):
        called = _train("run", "--json")
    assert called.code == 0, called.err
    return Trained(workplace / "run", called)


@pytest.fixture(scope="session")
def trained(workplace: Path) -> Trained:
    """One quick run with the DDPG agent, answered as JSON."""
    return train_quickly(workplace)


def winner(result: dict[str, Any]) -> dict[str, Any]:
    """The row of the best pruned network, whose plan the run keeps."""
    return next(row for row in result["rows"] if row["name"] == result["winner"])


def content(run: Path) -> dict[str, Any]:
    """Everything a run found out, without what it took: tables of episodes, plan, policy, weights, rows."""
    found: dict[str, Any] = {}
    for path in sorted(run.glob("episodes-*.csv")):
        with path.open(newline="") as file:
            found[path.name] = [{**row, "seconds": None} for row in csv.DictReader(file)]
    for name in ("plan.json", "policy.json", "policy.safetensors", "pruned.safetensors"):
        found[name] = hashlib.sha256((run / name).read_bytes()).hexdigest()
    return {**found, "rows": json.loads((run / "result.json").read_text())["rows"]}
