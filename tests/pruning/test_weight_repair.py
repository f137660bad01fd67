"""What remains of masked weights, refitted inside networks: whole and cut, every kind of layer."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.evaluation.evaluator import Evaluator
from rlprune.networks.layers import Layer
from rlprune.networks.network import Network
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.treatment import PlanTensors, treated_layers
from rlprune.pruning import weight_repair
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.weight_repair import WeightRepair
from rlprune.pruning.weights import WeightRule, mean_of_removed
from rlprune.tasks import Split, load_task
from rlprune.zoo import resolve_network
from tests.mixed import NETWORKS, Prepared, prepare, row_of
from tests.models import images

PREPARED = functools.cache(prepare)
Pair = tuple[torch.Tensor, torch.Tensor | None]
WORST = 1.02
"""Rows are sampled, and the ridge counts: an error may rise by this factor where nothing can be won."""


@functools.cache
def repair_of(name: str) -> WeightRepair:
    prepared = PREPARED(name)
    return WeightRepair(prepared.tables, list(prepared.network.layers), prepared.task.calibration)


def maskable(prepared: Prepared) -> list[Layer]:
    """Layers that are modules of their own and whose weights may be masked."""
    modules = dict(prepared.network.model.named_modules())
    layers = [layer for _, layer in treated_layers(prepared.space("channels", "weights"))]
    return [layer for layer in layers if layer.name in modules and layer.weight == f"{layer.name}.weight"]


def half(prepared: Prepared) -> IntArray:
    groups = prepared.network.groups
    return prepared.network.as_matrix([group.widths[len(group.widths) // 2] for group in groups])[0]


def pair_of(prepared: Prepared, layer: Layer, widths: IntArray) -> Pair:
    """Weight and bias of a plan before anything is removed."""
    tensors = prepared.tables.tensors(widths)
    keys = (layer.weight or "", layer.bias)
    weight, bias = (None if key is None else tensors.get(key, prepared.tables.state[key]) for key in keys)
    assert weight is not None
    return weight, bias


def random_mask(weight: torch.Tensor, density: float = 0.4) -> torch.Tensor:
    return torch.rand(weight.shape, generator=torch.Generator().manual_seed(5)) < density


def inputs_of(prepared: Prepared, layer: Layer, widths: IntArray) -> torch.Tensor:
    """What a layer reads in the dense network, of the channels that the widths leave."""
    seen: list[torch.Tensor] = []
    module = prepared.tables.permuted.get_submodule(layer.name)
    hook = module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        prepared.tables.permuted(*prepared.task.calibration.tensors)
    hook.remove()
    side, size = ("out", layer.out_width) if layer.groups > 1 else ("in", layer.in_width)
    channels = seen[0].shape[-1 if isinstance(module, nn.Linear) else 1]
    kept = prepared.tables.positions(layer.name, side, widths, max(size, channels))  # type: ignore[arg-type]
    return seen[0].index_select(seen[0].dim() - 1 if isinstance(module, nn.Linear) else 1, kept)


def answer(prepared: Prepared, layer: Layer, widths: IntArray, pair: Pair) -> torch.Tensor:
    """What the layer answers with this weight and bias to what it reads."""
    module = copy.deepcopy(prepared.tables.pruned(widths).get_submodule(layer.name))
    module.weight = nn.Parameter(pair[0])  # type: ignore[arg-type]
    module.bias = None if pair[1] is None else nn.Parameter(pair[1])  # type: ignore[assignment]
    with torch.no_grad():
        found: torch.Tensor = module(inputs_of(prepared, layer, widths))
    return found


@pytest.mark.parametrize("share", ["dense", "half"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "transformer"])
def test_no_layer_gets_further_from_what_it_answered(name: str, share: str) -> None:
    prepared, repair = PREPARED(name), repair_of(name)
    widths = prepared.network.dense_widths if share == "dense" else half(prepared)
    gains = []
    for layer in maskable(prepared):
        weight, bias = pair_of(prepared, layer, widths)
        mask = random_mask(weight)
        wanted = answer(prepared, layer, widths, (weight, bias))
        cut = answer(prepared, layer, widths, (torch.where(mask, weight, 0.0), bias))
        repaired = repair.repaired(layer, weight, bias, mask, 0.0, widths)
        before, after = (
            float((each - wanted).square().mean()) for each in (cut, answer(prepared, layer, widths, repaired))
        )
        assert after <= before * WORST, layer.name
        assert not repaired[0][~mask].any()
        gains.append(after / before)
    assert min(gains) < 0.5
    assert sum(gain < 0.95 for gain in gains) > len(gains) / 2


@pytest.mark.parametrize("share", ["dense", "half"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_full_mask_changes_nothing(name: str, share: str) -> None:
    prepared, repair = PREPARED(name), repair_of(name)
    widths = prepared.network.dense_widths if share == "dense" else half(prepared)
    for _, layer in treated_layers(prepared.space("channels", "weights")):
        weight, bias = pair_of(prepared, layer, widths)
        found = repair.repaired(layer, weight, bias, torch.ones_like(weight, dtype=torch.bool), 0.0, widths)
        assert torch.equal(found[0], weight)
        assert (found[1] is None) == (bias is None)
        assert bias is None or torch.equal(found[1], bias)  # type: ignore[arg-type]


def test_the_refit_is_least_squares_on_what_a_cut_layer_reads() -> None:
    """A linear layer on sequences, both of whose sides are cut, against a solver that knows nothing of moments."""
    prepared = PREPARED("dense")
    layer = next(each for each in prepared.network.layers if each.name == "second")
    widths = half(prepared)
    weight, bias = pair_of(prepared, layer, widths)
    assert bias is not None
    mask = random_mask(weight, 0.5)
    found, moved = repair_of("dense").repaired(layer, weight, bias, mask, 0.0, widths)
    assert moved is not None
    x = inputs_of(prepared, layer, widths).flatten(0, -2).double()
    design = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    targets = x @ weight.double().T + bias.double()
    errors, least = (design @ torch.cat([found, moved[:, None]], 1).double().T - targets).square().mean(0), []
    for row, free in enumerate(mask):
        columns = torch.cat([free, torch.tensor([True])])
        solved = torch.linalg.lstsq(design[:, columns], targets[:, row, None], driver="gelsd").solution
        least.append((design[:, columns] @ solved - targets[:, row, None]).square().mean())
    torch.testing.assert_close(errors, torch.stack(least), rtol=0.05, atol=1e-5)


def test_every_group_of_a_convolution_may_have_fewer_channels() -> None:
    """Four groups of six inputs and nine outputs, of which four and five are left."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 24, 3), nn.ReLU(), nn.Conv2d(24, 36, 1, groups=4), nn.Conv2d(36, 5, 1)
        ).eval()
    calibration = Split(images(64, 1), torch.zeros(64, dtype=torch.long))
    network = Network(model, images(1, 0), multiple=1)
    tables, widths = PruningTables(network, calibration), np.array([4, 5])
    layer = next(each for each in network.layers if each.groups == 4)
    weight, bias = (tables.tensors(widths)[f"{layer.name}.{name}"] for name in ("weight", "bias"))
    mask = random_mask(weight)
    repaired = WeightRepair(tables, [layer], calibration).repaired(layer, weight, bias, mask, 0.0, widths)
    with torch.no_grad():
        read = tables.permuted[:2](*calibration.tensors).unflatten(1, (4, 6))[:, :, :4].flatten(1, 2)  # type: ignore[index]
    wanted, cut, got = (
        nn.functional.conv2d(read, *pair, groups=4) for pair in ((weight, bias), (weight * mask, bias), repaired)
    )
    assert (got - wanted).square().mean() < 0.5 * (cut - wanted).square().mean()
    assert not repaired[0][~mask].any()


def test_whole_groups_of_a_convolution_may_go() -> None:
    """Eight groups of two inputs and two outputs, of which five are left."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=8), nn.Conv2d(16, 5, 1))
    calibration = Split(images(64, 1), torch.zeros(64, dtype=torch.long))
    network = Network(model.eval(), images(1, 0), multiple=1)
    tables, widths = PruningTables(network, calibration), np.array([5])
    layer = next(each for each in network.layers if each.groups == 8)
    weight, bias = (tables.tensors(widths)[f"{layer.name}.{name}"] for name in ("weight", "bias"))
    mask = random_mask(weight)
    with torch.no_grad():
        read = tables.permuted[:2](*calibration.tensors)[:, : 2 * 5]  # type: ignore[index]
    repair = WeightRepair(tables, [layer], calibration)
    for each in (repair, repair.roughly()):
        repaired = each.repaired(layer, weight, bias, mask, 0.0, widths)
        wanted, cut, got = (
            nn.functional.conv2d(read, *pair, groups=5) for pair in ((weight, bias), (weight * mask, bias), repaired)
        )
        assert (got - wanted).square().mean() < 0.5 * (cut - wanted).square().mean()


def test_removed_entries_hold_what_they_are_filled_with() -> None:
    prepared = PREPARED("residual")
    widths = prepared.network.dense_widths
    for layer in maskable(prepared):
        weight, bias = pair_of(prepared, layer, widths)
        mask = random_mask(weight)
        fill = mean_of_removed(weight, mask)
        found, _ = repair_of("residual").repaired(layer, weight, bias, mask, fill, widths)
        assert torch.equal(found[~mask], torch.full_like(found[~mask], fill))
        assert not torch.equal(found[mask], weight[mask])


def test_the_same_calibration_gives_the_same_weights() -> None:
    prepared = PREPARED("depthwise")
    widths = half(prepared)
    again = WeightRepair(prepared.tables, list(prepared.network.layers), prepared.task.calibration)
    for layer in maskable(prepared):
        weight, bias = pair_of(prepared, layer, widths)
        mask = random_mask(weight)
        one, other = (r.repaired(layer, weight, bias, mask, 0.0, widths) for r in (repair_of("depthwise"), again))
        assert torch.equal(one[0], other[0])


def test_layers_that_stay_as_they_are_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = PREPARED("residual")
    layers = [layer for _, layer in treated_layers(prepared.space("weights"))]
    assert repair_of("residual").unrepaired.keys() == {x.name for x in prepared.network.layers} - {
        x.name for x in layers
    }
    calibration = prepared.task.calibration
    monkeypatch.setattr(weight_repair, "MOST_OPERATIONS", 0)
    slow = WeightRepair(prepared.tables, layers, calibration).unrepaired
    assert set(slow) == {layer.name for layer in layers}
    assert all("would take too long" in reason for reason in slow.values())
    monkeypatch.undo()
    monkeypatch.setattr(prepared.tables, "moments_limit", 1e4)
    assert any("GiB" in reason for reason in WeightRepair(prepared.tables, layers, calibration).unrepaired.values())


def test_a_layer_without_moments_is_only_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = PREPARED("residual")
    monkeypatch.setattr(weight_repair, "MOST_OPERATIONS", 0)
    layers, widths = maskable(prepared), prepared.network.dense_widths
    repair = WeightRepair(prepared.tables, layers, prepared.task.calibration)
    weight, bias = pair_of(prepared, layers[0], widths)
    mask = random_mask(weight)
    found, moved = repair.repaired(layers[0], weight, bias, mask, 0.25, widths)
    assert torch.equal(found, torch.where(mask, weight, 0.25))
    assert moved is bias


@pytest.mark.slow
@pytest.mark.parametrize("replacement", ["zero", "mean"])
def test_a_trained_network_keeps_more_of_its_accuracy(replacement: str) -> None:
    zoo = resolve_network("digits-resnet")
    network, task = Network(zoo.model, zoo.example_inputs), load_task("digits")
    space = Space(network, Decisions(("weights",), densities=(10,), rule=WeightRule(replacement=replacement)))  # type: ignore[arg-type]
    row = row_of(space, {f"weights:{choice.name}": 10 for choice in space.choices})
    evaluator = Evaluator(PruningTables(network, task.calibration), task, space=space)
    repaired = evaluator.finalist(row).score
    builder = PlanBuilder(evaluator.tables, space, task.calibration)
    builder.tensors = PlanTensors(evaluator.tables, space)  # without repair
    plain = Evaluator(evaluator.tables, task, space=space, builder=builder).finalist(row).score
    assert repaired > plain + 0.02, (repaired, plain)
