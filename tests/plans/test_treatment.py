"""What a plan does to tensors: masks first, then bits, on what was left; the same in the search and at delivery."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from rlprune.arrays import IntArray
from rlprune.choices.choice import FULL_BITS, Kind
from rlprune.choices.space import Space
from rlprune.delivery.delivered import Delivered
from rlprune.evaluation.evaluator import Evaluator
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.plan import PruningPlan
from rlprune.plans.treatment import PlanTensors, WeightTreatment, treated_layers
from rlprune.pruning.codes import dequantize, quantize
from rlprune.pruning.quantization import fake_quantized, int8_layers
from rlprune.pruning.weight_repair import WeightRepair
from rlprune.pruning.weights import WeightRule, mask_of_density, pruned
from tests.mixed import NETWORKS, RULES, WITH_BLOCKS, prepare, random_rows

PREPARED = functools.cache(prepare)


@functools.cache
def evaluator_of(name: str, kinds: tuple[Kind, ...], rule: str = "zeros", int8: bool = False) -> Evaluator:
    prepared = PREPARED(name)
    decided = {choice.name for choice in prepared.space(*kinds).choices if choice.kind == "bits"}
    layers = tuple(name for name in int8_layers(prepared.network) if name in decided and int8)
    return prepared.evaluator(prepared.space(*kinds, rule=RULES[rule], int8=layers))


def with_repair(evaluator: Evaluator, repair: WeightRepair | None) -> Evaluator:
    """One whose search refits masked weights so."""
    builder = PlanBuilder(evaluator.tables, evaluator.space, evaluator.task.calibration)
    builder.tensors = PlanTensors(evaluator.tables, evaluator.space, repair)
    return Evaluator(evaluator.tables, evaluator.task, samples=64, space=evaluator.space, builder=builder)


def treated_keys(space: Space) -> list[str]:
    return [layer.weight or "" for _, layer in treated_layers(space)]


@pytest.mark.parametrize("bits", [4, 8, 32])
@pytest.mark.parametrize("rule", RULES)
def test_masks_come_first_and_bits_round_what_remains(rule: str, bits: int) -> None:
    prepared = PREPARED("residual")
    layer = next(layer for layer in prepared.network.layers if layer.name == "block2.conv2")
    weight = prepared.network.model.state_dict()[layer.weight or ""]
    how: WeightRule = RULES[rule]
    density = how.density or 0.3
    got = WeightTreatment(round(density * 100) / 100, bits).applied(layer, weight, how)
    mask = mask_of_density(weight, density, how, 1)
    kept = pruned(weight, mask, "zero")
    rounded = kept if bits == 32 else dequantize(*quantize(kept, bits, 0), 0)
    assert torch.equal(got[mask], rounded[mask])
    assert torch.equal(got[~mask], pruned(weight, mask, how.replacement)[~mask])


def test_the_order_matters() -> None:
    """Rounding first would leave other entries: in 4 bits many are equal."""
    prepared = PREPARED("residual")
    layer = next(layer for layer in prepared.network.layers if layer.name == "block2.conv2")
    weight = prepared.network.model.state_dict()[layer.weight or ""]
    rule = RULES["zeros"]
    other = pruned(fake_quantized(weight, 4, 0), mask_of_density(fake_quantized(weight, 4, 0), 0.3, rule, 1), "zero")
    assert not torch.equal(WeightTreatment(0.3, 4).applied(layer, weight, rule), other)


def test_nothing_is_done_by_the_full_levels() -> None:
    for name in NETWORKS:
        evaluator = evaluator_of(name, ("weights", "bits"))
        dense = evaluator.tables.permuted.state_dict()
        for key, tensor in evaluator.builder.tensors(evaluator.space.full).items():
            assert torch.equal(tensor, dense[key])
        assert not evaluator.delivered(evaluator.space.full).stored


@pytest.mark.parametrize("rule", ["zeros", "means", "2:4"])
@pytest.mark.parametrize("kinds", [("weights",), ("weights", "bits"), ("bits",)], ids="+".join)
@pytest.mark.parametrize("name", NETWORKS)
def test_without_channels_the_search_computes_with_the_very_weights_that_are_delivered(
    name: str, kinds: tuple[Kind, ...], rule: str
) -> None:
    evaluator = evaluator_of(name, kinds, rule)
    for row in random_rows(evaluator.space, 4):
        searched, state = evaluator.builder.tensors(row), evaluator.delivered(row).module.state_dict()
        assert all(torch.equal(searched[key], state[key]) for key in treated_keys(evaluator.space))


@pytest.mark.parametrize("name", NETWORKS)
def test_with_channels_the_delivered_weights_are_refitted_on_the_masks_of_the_search(name: str) -> None:
    evaluator = evaluator_of(name, ("channels", "weights"))
    differ = 0
    for row in random_rows(evaluator.space, 6):
        row = evaluator.space.canonical(row[None])[0]
        searched, state = evaluator.builder.tensors(row), evaluator.delivered(row).module.state_dict()
        for key in set(treated_keys(evaluator.space)) & set(state):
            assert torch.equal(searched[key] == 0, state[key] == 0)
            differ += not torch.equal(searched[key], state[key])
    assert differ > 0


@pytest.mark.parametrize("rule", ["zeros", "means"])
@pytest.mark.parametrize("name", NETWORKS)
def test_with_channels_the_search_sees_nearly_what_an_exact_refit_gives(name: str, rule: str) -> None:
    evaluator = evaluator_of(name, ("channels", "weights"), rule)
    layers = [layer for _, layer in treated_layers(evaluator.space)]
    repair = WeightRepair(evaluator.tables, layers, evaluator.task.calibration)
    bare, exact = (with_repair(evaluator, each) for each in (None, repair))
    errors = {"bare": 0.0, "searched": 0.0}
    for row in random_rows(evaluator.space, 4):
        wanted = exact.outputs(row)
        for way, each in (("bare", bare), ("searched", evaluator)):
            errors[way] += float((each.outputs(row) - wanted).square().sum())
    assert 0 < errors["searched"] < 0.2 * errors["bare"]


def test_masks_are_chosen_among_the_entries_that_the_channels_leave() -> None:
    evaluator = evaluator_of("residual", ("channels", "weights"))
    space = evaluator.space
    for row in random_rows(space, 6):
        density = dict(zip((layer.name for layer in space.network.layers), space.density(row[None])[0], strict=True))
        searched = evaluator.builder.tensors(row)
        for layer, treatment in evaluator.builder.tensors.treatments(row):
            weight = searched[layer.weight or ""]
            assert treatment.density == density[layer.name]
            assert int(weight.count_nonzero()) == max(round(weight.numel() * treatment.density), 1)


def test_what_is_only_cut_or_rounded_keeps_no_repaired_weight_alive() -> None:
    """A view counts as what it shows, and would keep all of the weight that it was cut from."""
    evaluator = evaluator_of("residual", ("channels", "bits"))
    space, tensors = evaluator.space, PlanTensors(evaluator.tables, evaluator.space)
    full = np.array([choice.kind == "bits" for choice in space.choices])
    for row in random_rows(space, 3):
        tensors(np.where(full, FULL_BITS, row))
    assert tensors.bytes == 0
    for row in random_rows(space, 3):
        rounded = tensors(row)
        for layer, treatment in tensors.treatments(row):
            weight = rounded[layer.weight or ""]
            own = weight.untyped_storage().nbytes() == weight.numel() * weight.itemsize
            assert own or treatment.bits == FULL_BITS
    assert tensors.bytes > 0


def test_what_was_computed_lately_is_kept_and_never_changed() -> None:
    evaluator = evaluator_of("depthwise", ("channels", "weights", "bits"))
    rows = random_rows(evaluator.space, 5)
    layers = [layer for _, layer in treated_layers(evaluator.space)]
    repair = WeightRepair(evaluator.tables, layers, evaluator.task.calibration).roughly()
    fresh = PlanTensors(evaluator.tables, evaluator.space, repair)
    for row in (*rows, *rows[::-1]):
        again, first = evaluator.builder.tensors(row), fresh(row)
        assert again.keys() == first.keys()
        assert all(torch.equal(again[key], first[key]) for key in first)


def rows_in_int8(space: Space, count: int) -> IntArray:
    """Random rows; every third has few bits only, and every third full precision."""
    rows = random_rows(space, count)
    rows[1::3, [choice.kind == "bits" for choice in space.choices]] = FULL_BITS
    computed = space.in_int8(rows).any(axis=1)
    assert computed.any()
    assert not computed.all()
    return rows


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_what_computes_in_int8_is_the_same_in_search_delivery_and_plan(name: str) -> None:
    evaluator = evaluator_of(name, ("depth", "channels", "weights", "bits"), int8=True)
    space = evaluator.space
    for row in rows_in_int8(space, 9):
        row = space.canonical(row[None])[0]
        wanted = set(space.computed_in_int8(row))
        delivered = evaluator.delivered(row)
        plan = PruningPlan.from_levels(space, row)
        assert set(delivered.ranges) == wanted
        assert {name for name, item in plan.decisions.items() if item.activations == 8} == wanted
        assert (delivered.rounding is None) == (not wanted)
        again = plan.space(space.network)
        assert set(again.computed_in_int8(plan.levels(again))) == wanted


def test_the_search_rounds_inputs_exactly_where_layers_compute_in_int8() -> None:
    """With some in int8, answers differ from those of a space in which nothing computes in int8; else they agree."""
    kinds: tuple[Kind, ...] = ("channels", "bits")
    computing, storing = evaluator_of("residual", kinds, int8=True), evaluator_of("residual", kinds)
    for row in rows_in_int8(computing.space, 9):
        same = torch.equal(computing.outputs(row), storing.outputs(row))
        assert same == (not computing.space.computed_in_int8(row))


def test_what_is_searched_in_int8_is_what_is_delivered() -> None:
    """On a network without BatchNorm, whose statistics are re-estimated, answers differ by the ranges' samples only."""
    evaluator = evaluator_of("dense", ("channels", "bits"), int8=True)
    samples = evaluator.task.validation.take(64).tensors
    for row in rows_in_int8(evaluator.space, 6):
        searched = evaluator.outputs(row)
        delivered: Delivered = evaluator.delivered(row)
        with torch.no_grad():
            answer = delivered.module(*samples)
        scale = float(searched.abs().max())
        np.testing.assert_allclose(searched.numpy(), answer.numpy(), atol=0.05 * scale)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_level_loses_lies_between_nothing_and_all_and_never_rises(name: str, rule: str) -> None:
    prepared = PREPARED(name)
    evaluator = evaluator_of(name, prepared.kinds, rule)
    for choice in evaluator.space.choices:
        curve = evaluator.error_curve(choice)
        assert curve.shape == (len(choice.levels),)
        assert curve[-1] == pytest.approx(0, abs=1e-6)
        assert (np.diff(curve) <= 1e-9).all()
        assert curve.min() >= -1e-9
