"""The claims about files: plans, the device profile, and the delivered network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from rlprune.delivery.compact.file import load_compact
from rlprune.delivery.delivered import Delivered
from rlprune.delivery.onnx.verifying import TOLERANCE, verify_onnx
from rlprune.devices import DeviceProfile
from rlprune.errors import RunError
from rlprune.experiments.pipeline.candidate import weights
from rlprune.experiments.runs.run_folder import COMPACT, ONNX, PLAN, PROFILE, TENSORS
from rlprune.experiments.validating.claims import Claims, Tolerance
from rlprune.experiments.validating.rebuilding import Rebuilt
from rlprune.experiments.validating.recomputing import Listed
from rlprune.experiments.validating.tolerances import Tolerances
from rlprune.networks.checking.verification import telling_inputs
from rlprune.networks.inputs import Inputs, call, map_tensors, named_tensors_in
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan

Read = Callable[[Path, int], dict[str, torch.Tensor]]
ROUNDING = Tolerance(TOLERANCE, why="float32 sums in another order")
ROOM = 2**26
"""Bytes that a file may have beyond the expected weights before it is not read."""


def check_profile(claims: Claims, rebuilt: Rebuilt) -> None:
    """The profile carries a seal; a broken one is an error."""
    path = rebuilt.run.path / PROFILE
    if rebuilt.lacking is not None:
        claims.differs("profile", PROFILE, "as it was measured, and of this network", rebuilt.lacking)
    elif path.is_file():
        claimed = (rebuilt.result.device or {}).get("device")
        claims.equal("profile", PROFILE, claimed, DeviceProfile.load(path).device, "its seal fits")


def check_plans(claims: Claims, rebuilt: Rebuilt, networks: list[Listed]) -> None:
    """The plan of each network leaves the channels that its row states, and the kept plan is the winner's."""
    for item in networks:
        if item.plan is not None:
            _check_plan(claims, rebuilt, "channels in plans/", item.plan, item)
        if item.subject == rebuilt.result.winner:
            _check_plan(claims, rebuilt, f"channels in {PLAN}", PLAN, item)


def _check_plan(claims: Claims, rebuilt: Rebuilt, name: str, path: str, item: Listed) -> None:
    widths = list(item.row.widths)
    with claims.reading(name, item.subject, widths):
        plan = PruningPlan.load(rebuilt.run.path / path)
        claims.equal(name, item.subject, widths, plan.exact_levels(rebuilt.problem.space))


def check_files(claims: Claims, rebuilt: Rebuilt, tolerances: Tolerances) -> None:
    """The delivered files are the network that the winner's plan gives again."""
    result = rebuilt.result
    row = next((row for row in result.rows if row.name == result.winner), None)
    if row is None or rebuilt.impossible(row.widths) is not None:
        claims.unchecked("network", TENSORS, None, "the winner's channels fit no network")
        return
    delivered = rebuilt.candidate(row.widths, row.role).delivered
    _check_weights(claims, rebuilt.run.path / TENSORS, _tensors, delivered.module, tolerances)
    if delivered.stored and (reason := _not_written(rebuilt, COMPACT)) is not None:
        claims.unchecked("weights", COMPACT, None, reason)
    elif delivered.stored:
        _check_weights(claims, rebuilt.run.path / COMPACT, _compact_tensors, delivered.module, tolerances)
    _check_onnx(claims, rebuilt, delivered, row.batch)
    _check_outputs(claims, rebuilt, delivered.module)


def _check_weights(claims: Claims, path: Path, read: Read, module: nn.Module, tolerances: Tolerances) -> None:
    with claims.reading("weights", path.name, "those of the plan"):
        claimed, found = read(path, len(weights(module))), module.state_dict()
        shapes = {name: list(tensor.shape) for name, tensor in claimed.items()}
        wanted = {name: list(tensor.shape) for name, tensor in found.items()}
        if shapes != wanted:
            name = next(name for name in {**wanted, **shapes} if shapes.get(name) != wanted.get(name))
            claims.differs("weights", path.name, shapes.get(name), f"{name} must be {wanted.get(name, 'absent')}")
            return
        apart = max((_apart(claimed[name], tensor) for name, tensor in found.items()), default=0.0)
        claims.check("weights, largest difference", path.name, 0.0, apart, tolerances.weight)


def _tensors(path: Path, expected: int) -> dict[str, torch.Tensor]:
    try:
        return load(_content(path, expected))
    except SafetensorError as reason:
        raise RunError(f"{path.name} cannot be read: {reason}.") from reason


def _compact_tensors(path: Path, expected: int) -> dict[str, torch.Tensor]:
    _content(path, expected)
    return load_compact(path)


def _content(path: Path, expected: int) -> bytes:
    try:
        if path.stat().st_size > expected + ROOM:
            raise RunError(f"{path.name} has {path.stat().st_size} bytes; the plan's network has {expected}.")
        return path.read_bytes()
    except OSError as reason:
        raise RunError(f"{path.name} cannot be read: {reason.strerror or reason}.") from reason


def _apart(claimed: torch.Tensor, found: torch.Tensor) -> float:
    """Largest difference, as a share of the largest value."""
    if claimed.numel() == 0:
        return 0.0
    scale = float(found.double().abs().max()) or 1.0
    return float((claimed.double() - found.double().cpu()).abs().max()) / scale


def _not_written(rebuilt: Rebuilt, name: str) -> str | None:
    """Why the run did not write a file, as its notes say it."""
    return next((note for note in rebuilt.result.notes if note.startswith(f"{name} is not written")), None)


def _check_onnx(claims: Claims, rebuilt: Rebuilt, delivered: Delivered, batch: int) -> None:
    path = rebuilt.run.path / ONNX
    if not path.is_file():
        claims.unchecked("outputs", path.name, None, _not_written(rebuilt, ONNX) or "the run has none")
        return
    with claims.reading("outputs", path.name, "those of the plan"):
        content = _content(path, len(weights(delivered.module)))
        inputs, allowed = rebuilt.network.example_inputs, delivered.tolerance
        verify_onnx(content, delivered.module, inputs, batch=batch, tolerance=allowed)
        claims.equal("outputs", path.name, "those of the plan", "those of the plan", "all of them, on one input")


def _check_outputs(claims: Claims, rebuilt: Rebuilt, module: nn.Module) -> None:
    """Every output that stays has the dense network's shape, and its channels are in the dense network's order.

    Order is that of the permuted network, of which all plans are cut: uncut it computes what the dense one does.
    """
    network = rebuilt.network
    inputs = telling_inputs(network, seed=0)
    models = {"dense": network.model, "permuted": rebuilt.evaluator.tables.permuted, "cut": module}
    answers = {which: _answers(network, model, inputs) for which, model in models.items()}
    for name, dense in answers["dense"].items():
        subject = name or "the only one"
        cut, permuted = answers["cut"].get(name), answers["permuted"][name]
        claims.equal("shape of output", subject, list(dense.shape), None if cut is None else list(cut.shape))
        if dense.is_floating_point():
            apart = _apart(permuted, dense)
            claims.check("output uncut, largest difference", subject, 0.0, apart, ROUNDING)


def _answers(network: Network, model: nn.Module, inputs: Inputs) -> dict[str, torch.Tensor]:
    """Outputs that stay, by name."""
    device = next(model.parameters()).device
    with torch.no_grad():
        answer = call(model, map_tensors(lambda tensor: tensor.to(device), inputs))
    return {name: tensor.cpu() for name, tensor in named_tensors_in(network.outputs(answer))}
