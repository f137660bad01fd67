"""Every architecture through what a search and its delivery do: tables, evaluator, costs, all kinds, files."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlprune.arrays import IntArray
from rlprune.choices.choice import KINDS
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs import CostModel, EnergyCost, LatencyCost, MacsCost, ParamsCost, SizeCost, WeightsCost
from rlprune.delivery.compact.file import data_bytes, load_compact
from rlprune.delivery.onnx.verifying import verify_onnx
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.simulated import SimulatedGpu
from rlprune.evaluation.evaluator import Evaluator
from rlprune.networks.inputs import batch_size, map_tensors, tensors_in
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.pruning.blocks.droppable import find_blocks
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.base import Task
from rlprune.tasks.split import Split
from tests.architectures import checks
from tests.architectures.architecture import Architecture
from tests.architectures.counting import counted_macs
from tests.mixed import random_rows

CALIBRATION, VALIDATION = 12, 6
ROUTED = ("experts-switched",)
"""Networks whose MACs depend on the values they compute."""


class Agreement(Task):
    """Scores how near the answers are to those of the dense network, all tensors of an answer together."""

    metric = "agreement"

    def outputs(self, answer: Any) -> torch.Tensor:
        parts = [tensor for tensor in tensors_in(answer) if tensor.is_floating_point() and tensor.dim()]
        samples = max(len(tensor) for tensor in parts)
        return torch.cat([tensor.reshape(samples, -1) for tensor in parts if len(tensor) == samples], dim=1)

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        return -float((outputs - targets).square().mean())

    def divergence(self, outputs: torch.Tensor, dense_outputs: torch.Tensor) -> float:
        return float((outputs - dense_outputs).double().square().mean())


def samples_like(inputs: Any, count: int, seed: int) -> Any:
    """Inputs of as many samples: rows of the given ones, mixed among each other entry by entry."""
    generator = torch.Generator().manual_seed(seed)

    def mixed(tensor: torch.Tensor) -> torch.Tensor:
        rows = torch.randint(len(tensor), (count, *tensor.shape[1:]), generator=generator)
        noise = 0.1 * torch.randn(rows.shape, generator=generator)
        drawn = tensor.gather(0, rows)
        binary = not tensor.is_floating_point() or bool(((tensor == 0) | (tensor == 1)).all())
        return drawn if binary else drawn + noise.to(drawn)

    return map_tensors(mixed, inputs)


def task_of(network: Network) -> Task:
    """The dense network's own answers."""

    def split(count: int, seed: int) -> Split:
        inputs = samples_like(network.example_inputs, count, seed)
        with torch.no_grad():
            answer = network.model(**inputs) if isinstance(inputs, dict) else network.model(*inputs)
        return Split(inputs, task.outputs(answer))

    task = Agreement(
        "agreement",
        calibration=lambda: split(CALIBRATION, 1),
        validation=lambda: split(VALIDATION, 2),
        test=lambda: split(VALIDATION, 3),
    )
    return task


@dataclass(frozen=True)
class Whole:
    """A network ready to be searched, all kinds that it has, and some plans."""

    name: str
    space: Space
    evaluator: Evaluator
    rows: IntArray

    @property
    def network(self) -> Network:
        return self.space.network


def prepare(architecture: Architecture) -> Whole:
    network = checks.network_of(architecture)
    task = task_of(network)
    kinds = [kind for kind in KINDS if kind != "depth" or find_blocks(network).names]
    space = Space(network, Decisions(tuple(kinds)))
    tables = PruningTables(network, task.calibration)
    evaluator = Evaluator(tables, task, space=space)
    return Whole(architecture.name, space, evaluator, space.canonical(random_rows(space, 4)))


def check_search(whole: Whole) -> None:
    """The full plan is the dense network, and others have a quality."""
    dense = whole.evaluator(whole.space.full)
    scale = float(whole.evaluator.task.validation.targets.double().square().mean())
    assert dense.divergence <= 1e-8 * scale, f"the full plan differs by {dense.divergence} of {scale}"
    for quality in whole.evaluator.many(list(whole.rows)):
        assert np.isfinite([quality.score, quality.divergence]).all()
    for choice in whole.space.choices:
        curve = whole.evaluator.error_curve(choice)
        assert np.isfinite(curve).all()
        assert curve[-1] <= 1e-9


def check_costs(whole: Whole, path: Path) -> None:
    """Every cost is what the delivered network has; measured ones never fall when a level rises."""
    space, network = whole.space, whole.network
    profile = build_profile(network, (gpu := SimulatedGpu()), gpu.meter(), Effort(plans=8, checks=1, samples=10))
    costs: list[CostModel] = [LatencyCost(space, profile), EnergyCost(space, profile)]
    kept = network.restricted(profile.widths) if profile.widths else network
    allowed = space.on(kept)
    rows = allowed.canonical(random_rows(allowed, 4))
    for cost in costs:
        values = cost(np.concatenate([rows, space.full[None]]))
        assert np.isfinite(values).all()
        assert (values > 0).all()
        assert (values <= values[-1] * (1 + 1e-9)).all(), f"{cost.metric} of a pruned network is above the dense one's"
    for row in whole.rows:
        delivered = whole.evaluator.delivered(row)
        params = sum(parameter.numel() for parameter in delivered.module.parameters())
        assert ParamsCost(space)(row[None])[0] == params
        (path / "compact").write_bytes(content := delivered.compact() or b"")
        assert SizeCost(space)(row[None])[0] == data_bytes(content)
        weights = sum(int(t.numel()) for t in delivered.module.parameters())
        assert 0 < WeightsCost(space)(row[None])[0] <= weights
        if whole.name not in ROUTED and 1 not in space.widths(row[None]):
            counted = counted_macs(delivered.module, network.example_inputs)
            assert abs(MacsCost(space)(row[None])[0] - counted) <= 1e-6 * counted


def check_files(whole: Whole, path: Path) -> None:
    """What is handed over answers as in the search, in every form; plans survive their files and apply without data."""
    network, space = whole.network, whole.space
    for row in whole.rows:
        delivered = whole.evaluator.delivered(row)
        wanted = checks.structure(checks.answer(network.model, network))
        assert checks.structure(checks.answer(delivered.module, network, "a plan")) == wanted
        for made in (delivered, PruningPlan.from_levels(space, row).cut(network)):
            (path / "compact").write_bytes(made.compact() or b"")
            state = made.module.state_dict()
            read = load_compact(path / "compact")
            assert read.keys() == state.keys()
            for key, tensor in state.items():
                torch.testing.assert_close(read[key], tensor, rtol=0, atol=0)
        plan = PruningPlan.load(PruningPlan.from_levels(space, row).save(path / "plan.json"))
        np.testing.assert_array_equal(plan.levels(space), row)


def check_shell(whole: Whole) -> None:
    """The search's network of a plan of channels is the delivered one, where no BatchNorm is re-estimated."""
    network = whole.network
    if any("running_mean" in key for key in network.model.state_dict()):
        return
    evaluator = whole.evaluator.deciding(Space(network))
    for row in itertools.islice(random_rows(evaluator.space, 3), 3):
        searched = evaluator.outputs(row)
        with torch.no_grad():
            inputs = evaluator.task.validation.arguments
            module = evaluator.delivered(row).module
            answer = module(**inputs) if isinstance(inputs, dict) else module(*inputs)
        delivered = evaluator.task.outputs(answer)
        torch.testing.assert_close(searched, delivered, rtol=1e-3, atol=1e-4 * float(delivered.abs().max()))


def check_onnx(whole: Whole) -> None:
    """A delivered plan of all kinds, weights in few bits among them, computes in ONNX Runtime what it does in torch."""
    delivered, inputs = whole.evaluator.delivered(whole.rows[0]), whole.network.example_inputs
    assert delivered.narrow, "no weight of the plan has few bits"
    batch = batch_size(inputs)
    model = delivered.onnx(inputs, whole.evaluator.task.calibration, batch=batch)
    verify_onnx(model, delivered.module, inputs, batch=batch, tolerance=delivered.tolerance)
