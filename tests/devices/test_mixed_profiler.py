"""Measuring mixes: on a device that obeys a formula, interrupted and gone on with, and on real runtimes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlprune.choices.choice import Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs.latency import LatencyCost
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.mixed_profiler import (
    CHECKS,
    CHOSEN,
    PLANS,
    PROBES,
    ROUNDS,
    Mixes,
    add_mixes,
    is_unfinished,
)
from rlprune.devices.profiling.profiler import build_profile, extend_profile
from rlprune.devices.runtimes import OnnxRuntime, OpenVinoCpu, Runtime, TorchCpu
from rlprune.errors import DeviceError
from rlprune.pruning.quantization import int8_layers

from .mixed_truth import PAYS, FormulaRuntime, network, promised_ms, random_rows, truth_of

EFFORT = Effort(plans=24, checks=4, samples=5)
QUICK = Effort(plans=8, checks=1, samples=5, bound=0.9)
MIXED: tuple[Kind, ...] = ("depth", "channels", "bits")


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(network("tower"), Decisions(MIXED))


def formula(space: Space, stops_after: int | None = None) -> FormulaRuntime:
    return FormulaRuntime(space, truth_of(space, PAYS), stops_after)


@pytest.fixture(scope="module")
def plain(space: Space) -> DeviceProfile:
    return build_profile(space.network, formula(space), PowerModel(5.0), EFFORT)


@pytest.fixture(scope="module")
def mixed(space: Space, plain: DeviceProfile) -> DeviceProfile:
    return add_mixes(plain, space, formula(space), EFFORT)


def test_what_is_promised_is_true_on_a_device_that_obeys_the_formula(space: Space, mixed: DeviceProfile) -> None:
    assert mixed.mixed is not None
    assert mixed.mixed.layers == int8_layers(space.network)
    assert len(mixed.mixed.measured) == PROBES + 1 + PLANS + CHECKS + 1 + (ROUNDS + 1) * (CHOSEN + 1)
    assert sum(plan.held_out for plan in mixed.mixed.measured) == CHECKS + CHOSEN
    assert mixed.mixed.held_out.plans > CHECKS + CHOSEN / 2
    assert mixed.mixed.held_out.worst < 0.05
    assert mixed.mixed.int8_ratio is not None
    assert 0.3 < mixed.mixed.int8_ratio < 1
    restricted = mixed.restrict(space)
    rows, device = random_rows(restricted, 40, seed=9), formula(space)
    true = [promised_ms(device.truth, restricted, device.predictor, row) for row in rows]
    errors = np.abs(LatencyCost(restricted, mixed)(rows) / true - 1)
    assert any(restricted.computed_in_int8(row) for row in rows)
    assert float(np.median(errors)) < 0.05


def test_the_float_part_of_a_profile_stays(plain: DeviceProfile, mixed: DeviceProfile) -> None:
    assert replace(mixed, mixed=None) == plain


def test_the_same_seed_measures_the_same(space: Space, plain: DeviceProfile, mixed: DeviceProfile) -> None:
    assert add_mixes(plain, space, formula(space), EFFORT) == mixed


def test_rows_start_dense_drop_blocks_and_are_half_in_int8(space: Space, plain: DeviceProfile) -> None:
    mixes = Mixes.of(space, plain, formula(space))
    probes, rows = mixes.rows(20, 0, drop=False), mixes.rows(40, 0, drop=True)
    for each in (probes, rows):
        assert (each[0] == mixes.space.full).all()
        assert (mixes.space.widths(each[1:2]) == mixes.space.network.dense_widths).all()
    counts = [len(mixes.space.computed_in_int8(row)) for row in probes[1:]]
    assert counts[0] == len(mixes.layers)
    assert 1 < counts.count(len(mixes.layers)) < len(counts) / 2
    assert len(set(counts)) > 4
    assert mixes.space.kept(probes).all()
    assert not mixes.space.kept(rows[1:]).all()
    computed = [bool(mixes.space.computed_in_int8(row)) for row in rows[1:]]
    assert 0 < sum(computed) < len(computed)


def test_what_the_fit_would_choose_is_measured(space: Space, plain: DeviceProfile) -> None:
    """Of rows with random layers in 8 bits only those stay in 8 bits that the rule chooses."""
    mixes = Mixes.of(space, plain, formula(space))
    rule = formula(space).truth.rule(mixes.space, plain.predictor)
    offered, rows = mixes.rows(20, 3, drop=False), mixes.chosen(rule, 20, 3)
    assert (rows[0] == mixes.space.full).all()
    bits = np.array([choice.kind == "bits" for choice in mixes.space.choices])
    assert (rows[:, bits] >= offered[:, bits]).all()
    offered[:, ~bits] = rows[:, ~bits]
    wanted = mixes.space.on(mixes.space.network, rule).in_int8(offered)
    assert wanted.any()
    assert (mixes.space.in_int8(rows) == wanted).all()


@pytest.mark.parametrize("stops_after", [1, 40, 60])
def test_an_interrupted_measurement_goes_on(
    space: Space, plain: DeviceProfile, mixed: DeviceProfile, stops_after: int, tmp_path: Path
) -> None:
    path = tmp_path / "profile.json"
    plain.save(path)
    whole, first, second = formula(space), formula(space, stops_after), formula(space)
    add_mixes(plain, space, whole, EFFORT)
    assert not is_unfinished(plain, first, EFFORT, path)
    with pytest.raises(KeyboardInterrupt):
        add_mixes(plain, space, first, EFFORT, path=path)
    assert is_unfinished(plain, first, EFFORT, path)
    assert not is_unfinished(replace(plain, created="another"), first, EFFORT, path)
    assert not is_unfinished(plain, first, Effort(plans=8), path)
    assert DeviceProfile.load(path) == plain
    assert add_mixes(plain, space, second, EFFORT, path=path) == mixed == DeviceProfile.load(path)
    assert [each.name for each in tmp_path.iterdir()] == ["profile.json"]
    if stops_after > 1:
        assert second.timings < whole.timings


def test_an_extended_profile_fits_its_mixes_again(space: Space, mixed: DeviceProfile) -> None:
    few = Effort(plans=8, checks=2, samples=5)
    further = extend_profile(mixed, space.network, formula(space), few)
    assert further.mixed is not None
    assert mixed.mixed is not None
    assert further.predictor != mixed.predictor
    told = [replace(plan, promised_ms=None) for plan in further.mixed.measured]
    assert told == [replace(plan, promised_ms=None) for plan in mixed.mixed.measured]
    assert further.mixed.held_out.worst < 0.05


@pytest.mark.parametrize("kinds", [("channels", "depth"), ("channels", "bits")])
def test_only_what_is_decided_is_measured(plain: DeviceProfile, kinds: tuple[Kind, ...]) -> None:
    space = Space(network("tower"), Decisions(kinds))
    found = add_mixes(plain, space, formula(space), EFFORT).mixed
    assert found is not None
    assert bool(found.layers) == bool(found.kinds) == ("bits" in kinds)
    assert any(plan.dropped for plan in found.measured) == ("depth" in kinds)
    assert set(found.shares) == set(space.blocks.names)


@pytest.mark.parametrize("make", [TorchCpu, OpenVinoCpu], ids=["torch", "openvino"])
def test_a_runtime_without_int8_measures_only_blocks(make: type[Runtime], space: Space, plain: DeviceProfile) -> None:
    runtime = make(1, 1)
    mixes = Mixes.of(space, plain, runtime)
    assert mixes.layers == ()
    assert mixes.space.kinds == ("depth", "channels")
    if runtime.available() is not None:
        pytest.skip(str(runtime.available()))
    row = mixes.space.full.copy()
    row[[choice.kind == "depth" for choice in mixes.space.choices]] = 0
    assert runtime.time(runtime.load_mix(space.network, mixes.space, row), 2).min() > 0


def test_a_runtime_without_int8_refuses_it(space: Space) -> None:
    everything = Space(space.network, space.decisions, int8=int8_layers(space.network), blocks=space.blocks)
    row = np.array([choice.levels[0] if choice.kind == "bits" else choice.full for choice in everything.choices])
    with pytest.raises(DeviceError, match="nothing in int8"):
        TorchCpu(1, 1).load_mix(space.network, everything, row)


@pytest.mark.slow
def test_a_tiny_network_on_onnx_runtime_from_end_to_end(space: Space, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    profile = build_profile(space.network, OnnxRuntime(1, 1), PowerModel(5.0), QUICK, path=path)
    found = add_mixes(profile, space, OnnxRuntime(1, 1), QUICK, path=path)
    assert DeviceProfile.load(path) == found
    assert found.mixed is not None
    assert found.mixed.layers == int8_layers(space.network)
    assert set(found.mixed.shares) == {"blocks.0", "blocks.1", "blocks.2"}
    cost = LatencyCost(found.restrict(space), found)
    row = found.restrict(space).full.copy()
    row[[choice.kind == "depth" for choice in space.choices]] = 0
    assert 0 < cost(row[None])[0] < found.dense_latency_ms
