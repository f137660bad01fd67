"""The fit of dropped blocks and int8 against a known truth, and what a profile promises of mixed plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from rlprune.arrays import IntArray
from rlprune.choices.choice import Kind
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.costs.latency import LatencyCost
from rlprune.devices.profiles.int8.model import Conversion, KindInInt8
from rlprune.devices.profiles.mixed import MixedLatency, MixedPlan, fit_mixed, int8_ratio, refit_mixed, timed_counts
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.records import EnergyModel, ErrorSummary, MeasuredPlan, MeasuringPass, TailModel
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.pruning.quantization import int8_layers

from .mixed_truth import (
    CONVERSION,
    COSTS,
    PADDED,
    PAYS,
    SOMETIMES,
    measured,
    network,
    predictor_of,
    promised_ms,
    random_rows,
    truth_of,
)

NETWORKS = ("tower", "resnet-basic", "encoder-pre-norm")
RULES = {"pays": PAYS, "costs": COSTS, "sometimes": SOMETIMES, "padded": PADDED}
MIXED: tuple[Kind, ...] = ("depth", "channels", "bits")
NOTHING = ErrorSummary(0.0, 0.0, 0.0, 0)


def space_for_fit(name: str) -> Space:
    net = network(name)
    layers = int8_layers(net)
    plain = Space(net, Scope(MIXED, bits=(8,)))
    others = [f"bits:{c.name}" for c in plain.choices if c.kind == "bits" and c.name not in layers]
    return Space(net, Scope(MIXED, bits=(8,), exclude=others), int8=layers)


def rows_for_fit(space: Space, count: int, partial: bool = True) -> IntArray:
    """All layers with 32 bits in every other row; in the rest all with 8, or in half of them any."""
    rows = random_rows(space, count)
    bits = np.array([choice.kind == "bits" for choice in space.choices])
    rows[1::2, bits], rows[::4, bits] = 32, 8
    any_bits = np.random.default_rng(7).choice([8, 32], rows[2::4][:, bits].shape)
    rows[2::4, bits] = any_bits if partial else 8
    return space.canonical(rows)


def fitted(space: Space, plans: Sequence[MixedPlan], layers: Sequence[str]) -> MixedLatency:
    return fit_mixed(space, predictor_of(space.network), plans, layers)


def profile_of(space: Space, mixed: MixedLatency | None) -> DeviceProfile:
    """A profile that promises by :func:`predictor_of`."""
    net = space.network
    predictor = predictor_of(net)
    dense = float(predictor.bind(net)(net.dense_widths[None])[0])
    narrow = tuple(group.widths[0] for group in net.groups)
    tails = {name: TailModel(0.0, 1.0, NOTHING) for name in ("p50", "p95", "p99")}
    return DeviceProfile(
        device="Formula",
        os="none",
        runtime=RuntimeIdentity("onnxruntime", "0.0", "FormulaProvider", 1, 1, "float32"),
        estimator="exact",
        created="2025-01-01T00:00:00Z",
        fingerprint=net.fingerprint,
        dense_latency_ms=dense,
        predictor=predictor,
        widths={group.name: tuple(group.widths) for group in net.groups},
        energy=EnergyModel.stated(5.0, "stated"),
        tails=tails,
        held_out=NOTHING,
        cross_validated=NOTHING,
        sessions=(MeasuringPass("2025-01-01T00:00:00Z", 2, 10, dense, 0.01, 0.03),),
        seed=0,
        basis="network",
        notes=(),
        readings=(),
        measured=(MeasuredPlan(narrow, dense, (dense, dense, dense), held_out=False),),
        mixed=mixed,
    )


def true_profile(
    name: str, rule: str, kinds: tuple[Kind, ...] = MIXED, conversion: Conversion | None = CONVERSION
) -> tuple[Space, DeviceProfile]:
    """A space over the widths that pay, and a profile whose mixes are the truth."""
    free = Space(network(name), Scope(kinds, densities=(5, 30, 60)))
    profile = profile_of(free, replace(truth_of(free, RULES[rule]), conversion=conversion))
    return profile.restrict(free), profile


@pytest.mark.parametrize("name", NETWORKS)
def test_the_fit_finds_what_is_true(name: str) -> None:
    space = space_for_fit(name)
    truth = truth_of(space, PAYS)
    plans = measured(truth, space, rows_for_fit(space, 80), held_out=12)
    found = fitted(space, plans, truth.layers)
    assert found.held_out.plans > 9  # nothing is promised of parts that int8 makes slower
    assert found.held_out.worst < 0.005
    for block, share in truth.shares.items():
        assert found.shares[block] == pytest.approx(share, abs=0.02)
    kind = "linear" if name == "encoder-pre-norm" else "conv"  # a small head alone cannot be told from the rest
    assert found.kinds[kind].factor == pytest.approx(truth.kinds[kind].factor, abs=0.1)
    assert found.layer_ms == pytest.approx(truth.layer_ms, rel=0.1)
    assert found.conversion is not None
    assert found.conversion.fixed_ms == pytest.approx(CONVERSION.fixed_ms, abs=1e-4)
    told = np.array([plan.promised_ms or np.nan for plan in found.measured])
    assert np.nanmax(np.abs(told / [plan.latency_ms for plan in plans] - 1)) < 0.005


def test_the_fit_finds_the_block_that_kernels_fill_up_to() -> None:
    space = space_for_fit("tower")
    truth = truth_of(space, PADDED)
    found = fitted(space, measured(truth, space, rows_for_fit(space, 80), held_out=12), truth.layers)
    assert {kind.block for kind in found.kinds.values()} == {8}
    assert found.kinds["conv"].mac_ms == pytest.approx(PADDED["conv"].mac_ms, rel=0.3)
    assert found.held_out.worst < 0.005


def test_the_held_out_error_is_of_plans_that_the_fit_never_saw() -> None:
    """Plans that are held out may be anything: they change the error and nothing else."""
    space = space_for_fit("tower")
    truth = truth_of(space, PAYS)
    plans = measured(truth, space, rows_for_fit(space, 60), held_out=10)
    wrong = [replace(plan, latency_ms=plan.latency_ms * 2) if plan.held_out else plan for plan in plans]
    found, spoilt = (fitted(space, each, truth.layers) for each in (plans, wrong))
    assert (found.shares, found.kinds, found.layer_ms) == (spoilt.shares, spoilt.kinds, spoilt.layer_ms)
    assert found.held_out.worst < 0.005
    assert spoilt.held_out.median == pytest.approx(0.5, abs=0.01)


def test_constants_lie_where_costs_cannot_fall() -> None:
    """Noise of half the latency, and int8 that costs: the fit stays within its bounds."""
    space = space_for_fit("tower")
    random = np.random.default_rng(0)
    plans = [
        replace(plan, latency_ms=plan.latency_ms * random.uniform(0.5, 1.5))
        for plan in measured(truth_of(space, COSTS), space, rows_for_fit(space, 40), held_out=0)
    ]
    found = fitted(space, plans, int8_layers(space.network))
    assert all(0 <= share <= 1 for share in found.shares.values())
    assert all(0 <= kind.factor <= 1 and kind.element_ms >= 0 and kind.fixed_ms >= 0 for kind in found.kinds.values())
    most = predictor_of(space.network).intercept_ms / sum(timed_counts(space))
    assert 0 <= found.layer_ms <= most


def test_plans_with_all_layers_in_int8_or_none_do_not_tell_what_converting_costs() -> None:
    """As profiles were measured once: nothing is promised of a part of the layers."""
    space = space_for_fit("tower")
    truth = replace(truth_of(space, PAYS), conversion=None)
    plans = measured(truth, space, rows_for_fit(space, 80, partial=False), held_out=12)
    found = fitted(space, plans, truth.layers)
    assert found.conversion is None
    assert found.held_out.worst < 0.005


def test_nothing_is_promised_where_int8_does_not_pay() -> None:
    space = space_for_fit("tower")
    plans = measured(truth_of(space, COSTS), space, rows_for_fit(space, 60), held_out=20)
    found = fitted(space, plans, int8_layers(space.network))
    assert [plan.promised_ms is None for plan in found.measured] == [bool(plan.int8) for plan in plans]
    assert found.held_out.plans == sum(plan.held_out and not plan.int8 for plan in plans) == 10


def test_a_block_that_no_plan_dropped_takes_its_layers_with_it() -> None:
    space = space_for_fit("tower")
    first = space.blocks.names[0]
    plans = [p for p in measured(truth_of(space, PAYS), space, rows_for_fit(space, 60), 0) if first not in p.dropped]
    found = fitted(space, plans, ())
    assert found.shares[first] == 1.0
    found = fitted(space, [plan for plan in plans if not plan.dropped], ())
    assert found.shares == dict.fromkeys(space.blocks.names, 1.0)


def test_a_refit_on_the_same_predictor_changes_nothing() -> None:
    space = space_for_fit("tower")
    plans = measured(truth_of(space, PAYS), space, rows_for_fit(space, 40), held_out=8)
    found = fitted(space, plans, int8_layers(space.network))
    known = (space.network, predictor_of(space.network))
    assert refit_mixed(replace(found, int8_ratio=0.5), *known) == replace(found, int8_ratio=0.5)
    forgotten = replace(found, measured=())
    assert refit_mixed(forgotten, *known) is forgotten


def test_the_ratio_is_that_of_the_widest_plan_with_most_layers_in_int8() -> None:
    net = network("tower")
    widths = tuple(int(width) for width in net.dense_widths)
    dense = float(predictor_of(net).bind(net)(net.dense_widths[None])[0])
    few = MixedPlan(widths, (), ("stem",), dense, held_out=False)
    most = MixedPlan(widths, (), ("stem", "head"), 0.75 * dense, held_out=False)
    narrow = replace(most, widths=tuple(group.widths[0] for group in net.groups), latency_ms=dense)
    assert int8_ratio(net, predictor_of(net), [narrow, few, most]) == pytest.approx(0.75)
    assert int8_ratio(net, predictor_of(net), [replace(few, int8=())]) is None
    assert int8_ratio(net, predictor_of(net), []) is None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_latency_never_rises_when_one_level_falls(name: str, rule: str) -> None:
    space, profile = true_profile(name, rule, ("depth", "channels", "weights", "bits"))
    cost = LatencyCost(space, profile)
    random = np.random.default_rng(3)
    rows = random_rows(space, 400, seed=1)
    lower = rows.copy()
    for row in lower:
        place = random.integers(len(space.choices))
        below = [level for level in space.choices[place].levels if level < row[place]]
        row[place] = random.choice(below) if below else row[place]
    assert (rows != lower).any()
    before, after = cost(rows), cost(lower)
    assert (after <= before + 1e-12).all()
    assert (after > 0).all()


@pytest.mark.parametrize("rule", ["pays", "sometimes"])
@pytest.mark.parametrize("name", NETWORKS)
def test_latency_is_the_formula_layer_by_layer(name: str, rule: str) -> None:
    space, profile = true_profile(name, rule)
    assert profile.mixed is not None
    rows = random_rows(space, 60)
    if name == "encoder-pre-norm":  # layers of other kinds stand in attention, where nothing computes in int8
        rows = rows[[not space.computed_in_int8(row) for row in rows]]
    wanted = [promised_ms(profile.mixed, space, profile.predictor, row) for row in rows]
    assert LatencyCost(space, profile)(rows) == pytest.approx(wanted)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_decided_inside_a_dropped_block_does_not_count(name: str) -> None:
    space, profile = true_profile(name, "sometimes")
    cost, rows = LatencyCost(space, profile), random_rows(space, 60)
    assert (space.canonical(rows) != rows).any()
    np.testing.assert_allclose(cost(rows), cost(space.canonical(rows)), rtol=1e-12)


def test_latency_stays_positive_where_the_file_says_that_calls_take_more_than_there_is() -> None:
    space, profile = true_profile("tower", "pays")
    assert profile.mixed is not None
    greedy = replace(profile, mixed=replace(profile.mixed, layer_ms=1e6, shares=dict.fromkeys(space.blocks.names, 1.0)))
    nothing = np.array([[choice.levels[0] for choice in space.choices]])
    assert (LatencyCost(space, greedy)(nothing) > 0).all()


def test_of_a_profile_without_runs_layers_compute_in_int8_all_together_and_where_it_pays() -> None:
    space, profile = true_profile("tower", "pays", conversion=None)
    assert profile.mixed is not None
    places = {(c.kind, c.name): number for number, c in enumerate(space.choices)}
    row = space.full.copy()
    assert space.computed_in_int8(row) == ()
    for name in profile.mixed.layers:
        assert space.computed_in_int8(row) == ()
        row[places["bits", name]] = 4 if name == "stem" else 8
    assert space.computed_in_int8(row) == profile.mixed.layers
    block = space.blocks[0]
    row[places["bits", block.layers[0]]] = 32
    assert space.computed_in_int8(row) == ()
    row[places["depth", block.name]] = 0  # what is dropped has no say
    assert space.computed_in_int8(row) == tuple(name for name in profile.mixed.layers if name not in block.layers)
    dear = replace(profile, mixed=replace(profile.mixed, kinds=COSTS)).restrict(space)
    assert dear.computed_in_int8(row) == ()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("conversion", [Conversion(0, 0), CONVERSION, Conversion(2e-6, 1e-3), Conversion(1e-5, 0)])
def test_layers_compute_in_int8_where_that_takes_least_of_all_subsets(rule: str, conversion: Conversion) -> None:
    """Every subset of them is costed by the formula."""
    space, profile = true_profile("tower", rule, conversion=conversion)
    assert profile.mixed is not None
    for row in random_rows(space, 3, seed=4):
        bits = space.bits(row[None])[0] <= 8
        may = [layer.name for layer, few in zip(space.network.layers, bits, strict=True) if few]
        named = [subset for size in range(len(may) + 1) for subset in combinations(may, size)]
        spaces = [space.on(space.network, int8=subset) for subset in named]
        times = [promised_ms(profile.mixed, each, profile.predictor, row) for each in spaces]
        assert LatencyCost(space, profile)(row[None]) == pytest.approx([min(times)], rel=1e-9)
        chosen = spaces[int(np.argmin(times))].computed_in_int8(row)
        assert space.computed_in_int8(row) == chosen or np.sort(times)[1] == pytest.approx(min(times), rel=1e-9)


def test_a_part_of_the_layers_computes_in_int8_where_the_others_may_not() -> None:
    space, profile = true_profile("tower", "pays")
    assert profile.mixed is not None
    places = {(c.kind, c.name): number for number, c in enumerate(space.choices)}
    row = space.full.copy()
    for name in profile.mixed.layers:
        row[places["bits", name]] = 8
    assert space.computed_in_int8(row) == profile.mixed.layers
    row[places["bits", "stem"]] = row[places["bits", "head"]] = 32
    assert space.computed_in_int8(row) == profile.mixed.layers[1:-1]


def test_more_layers_that_may_compute_in_int8_never_take_longer() -> None:
    for rule in RULES:
        space, profile = true_profile("tower", rule)
        cost, random = LatencyCost(space, profile), np.random.default_rng(2)
        rows = random_rows(space, 300, seed=3)
        bits = np.array([choice.kind == "bits" for choice in space.choices])
        fewer = np.where(bits & (random.random(rows.shape) < 0.3), 4, rows)
        assert (cost(fewer) <= cost(rows) + 1e-12).all()


def test_a_layer_that_may_not_be_quantised_keeps_only_itself_in_float() -> None:
    free = Space(network("tower"), Scope(MIXED, exclude=["bits:head"]))
    space = profile_of(free, truth_of(free, PAYS)).restrict(free)
    lowest = np.array([choice.levels[0] if choice.kind == "bits" else choice.full for choice in space.choices])
    assert space.computed_in_int8(lowest) == int8_layers(space.network)[:-1]


def test_without_measured_mixes_a_block_takes_its_layers_time_and_nothing_computes_in_int8() -> None:
    free = Space(network("tower"), Scope(MIXED))
    profile = profile_of(free, None)
    space = profile.restrict(free)
    row = np.array([choice.levels[0] if choice.kind != "channels" else choice.full for choice in space.choices])
    assert space.computed_in_int8(row) == ()
    own = profile.predictor.bind(space.network).by_layer(space.network.dense_widths[None])[0]
    names = [layer.name for layer in space.network.layers if layer.kind != "batchnorm"]
    left = sum(ms for name, ms in zip(names, own, strict=True) if not name.startswith("blocks."))
    assert LatencyCost(space, profile)(row[None]) == pytest.approx([profile.predictor.intercept_ms + left])


def test_unknown_kinds_of_layers_save_nothing() -> None:
    space, profile = true_profile("tower", "pays")
    assert profile.mixed is not None
    kinds = {"transposed": KindInInt8(0.1, 0.0, 0.0)}
    other = replace(profile, mixed=replace(profile.mixed, kinds=kinds))
    rows = random_rows(space, 10)
    assert not any(other.restrict(space).computed_in_int8(row) for row in rows)
