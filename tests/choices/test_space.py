"""The space of decisions: order, what levels mean to layers, what is moot, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rlprune.choices.choice import KINDS, Choice, Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.errors import ConfigError
from rlprune.networks.network import Network
from rlprune.pruning.weights import WeightRule
from tests.mixed import NETWORKS, Prepared, prepare, random_rows, row_of
from tests.models import build, images


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare("residual")


@pytest.fixture(scope="module")
def space(prepared: Prepared) -> Space:
    return prepared.space()


def labels(choices: Sequence[Choice]) -> list[str]:
    return [f"{choice.kind}:{choice.name}" for choice in choices]


LABELS = [
    "channels:stem", "weights:stem", "bits:stem",
    "depth:block1", "channels:block1.conv1", "weights:block1.conv1", "bits:block1.conv1",
    "weights:block1.conv2", "bits:block1.conv2",
    "channels:block2.conv1", "weights:block2.conv1", "bits:block2.conv1",
    "channels:block2.conv2", "weights:block2.conv2", "bits:block2.conv2",
    "weights:block2.shortcut", "bits:block2.shortcut",
    "weights:head", "bits:head",
]  # fmt: skip


def test_choices_stand_by_layer_and_then_in_the_order_in_which_a_plan_is_applied(space: Space) -> None:
    assert labels(space.choices) == LABELS
    assert space.kinds == KINDS
    assert space.layered


def test_a_unit_takes_all_choices_about_a_layer(space: Space) -> None:
    names = ["stem", "block1.conv1", "block1.conv2", "block2.conv1", "block2.conv2", "block2.shortcut", "head"]
    assert [unit.name for unit in space.units] == names
    assert list(space.units[1].places.items()) == [("depth", 3), ("channels", 4), ("weights", 5), ("bits", 6)]
    assert [place for unit in space.units for place in unit.places.values()] == list(range(len(LABELS)))


@pytest.mark.parametrize("name", NETWORKS)
def test_units_follow_the_layers_of_any_network(name: str) -> None:
    prepared = prepare(name)
    space = prepared.space()
    layers = [layer.name for layer in prepared.network.layers]
    positions = [layers.index(unit.name) for unit in space.units]
    assert positions == sorted(positions)
    for unit in space.units:
        assert list(unit.places) == [kind for kind in KINDS if kind in unit.places]
        assert {space.choices[place].unit for place in unit.places.values()} == {unit.name}


def test_channels_alone_are_the_groups(prepared: Prepared) -> None:
    space = Space(prepared.network)
    assert [(choice.name, choice.levels) for choice in space.choices] == [
        (group.name, group.widths) for group in prepared.network.groups
    ]
    assert [unit.places for unit in space.units] == [{"channels": place} for place in range(4)]
    assert not space.layered
    assert Space.of(space) is space
    assert labels(Space.of(prepared.network).choices) == labels(space.choices)
    rows = random_rows(space, 5)
    np.testing.assert_array_equal(space.widths(rows), rows)
    np.testing.assert_array_equal(space.canonical(rows), rows)
    np.testing.assert_array_equal(space.full, prepared.network.dense_widths)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_stands_alone(prepared: Prepared, kind: Kind) -> None:
    space = prepared.space(kind)
    assert labels(space.choices) == [label for label in LABELS if label.startswith(kind)]
    assert space.kinds == (kind,)
    rows = random_rows(space, 4)
    if kind != "channels":
        assert (space.widths(rows) == prepared.network.dense_widths).all()
    if kind != "weights":
        assert (space.density(rows) == 1).all()
    if kind != "bits":
        assert (space.bits(rows) == 32).all()
    if kind != "depth":
        assert space.present(rows).all()


def test_what_levels_mean_to_layers(space: Space) -> None:
    row = row_of(space, {"weights:block2.conv1": 30, "bits:head": 4, "channels:block2.conv2": 8, "depth:block1": 0})
    names = [layer.name for layer in space.network.layers]
    density, bits, present = (found(row[None])[0] for found in (space.density, space.bits, space.present))
    assert dict(zip(names, density, strict=True)) == dict.fromkeys(names, 1.0) | {"block2.conv1": 0.3}
    assert dict(zip(names, bits, strict=True)) == dict.fromkeys(names, 32) | {"head": 4}
    gone = {"block1.conv1", "block1.bn1", "block1.conv2", "block1.bn2"}
    assert {name for name, there in zip(names, present, strict=True) if not there} == gone
    assert space.widths(row[None]).tolist() == [[8, 8, 16, 8]]
    assert space.dropped(row) == ("block1",)
    named = space.named(row)
    assert named["block2.conv2"] == {"channels": 8, "weights": 100, "bits": 32}
    assert named["block1"] == {"depth": 0}


def test_choices_inside_a_dropped_block_are_moot(space: Space) -> None:
    inside = [place for place, choice in enumerate(space.choices) if choice.name.startswith("block1.")]
    assert len(inside) == 5
    rows = random_rows(space, 30)
    blocks = rows[:, space.choices.index(next(c for c in space.choices if c.kind == "depth"))]
    found = space.canonical(rows)
    assert 0 < blocks.sum() < 30
    np.testing.assert_array_equal(found[blocks == 1], rows[blocks == 1])
    np.testing.assert_array_equal(found[blocks == 0][:, inside], np.tile(space.full[inside], ((blocks == 0).sum(), 1)))
    outside = [place for place in range(len(space.choices)) if place not in inside]
    np.testing.assert_array_equal(found[:, outside], rows[:, outside])
    np.testing.assert_array_equal(space.canonical(found), found)


def test_a_moot_choice_changes_no_cost_and_no_answer(prepared: Prepared, space: Space) -> None:
    row = row_of(space, {"depth:block1": 0, "bits:head": 8})
    moot = row_of(space, {"depth:block1": 0, "bits:head": 8, "weights:block1.conv1": 10, "channels:block1.conv1": 2})
    for count in (space.macs, space.params):
        assert count(row[None])[0] == count(moot[None])[0]
    evaluator = prepared.evaluator(space)
    quality = evaluator(row)
    assert evaluator.known(moot)
    assert evaluator(moot) == quality
    assert (evaluator.evaluations, evaluator.cache_hits) == (1, 1)


def test_layers_that_are_named_compute_in_int8_where_they_have_few_bits(prepared: Prepared) -> None:
    space = prepared.space(int8=("block1.conv1", "block2.conv1"))
    few = {"bits:block1.conv1": 4, "bits:block2.conv1": 8, "bits:head": 8}
    assert space.computed_in_int8(row_of(space, few)) == ("block1.conv1", "block2.conv1")
    assert space.computed_in_int8(row_of(space, few | {"bits:block1.conv1": 32})) == ("block2.conv1",)
    dropped = row_of(space, few | {"bits:block1.conv1": 32, "depth:block1": 0})
    assert space.computed_in_int8(dropped) == ("block2.conv1",)
    assert prepared.space().computed_in_int8(row_of(space, few)) == ()
    assert prepared.space("channels", int8=("stem",)).computed_in_int8(prepared.network.dense_widths) == ()


def test_spaces_in_which_a_row_means_the_same(prepared: Prepared, space: Space) -> None:
    few = Network(build("residual"), images(1), multiple=4)
    assert space.means_the_same(prepared.space())
    assert space.means_the_same(space.on(few))
    assert not space.means_the_same(prepared.space("channels"))
    assert not space.means_the_same(prepared.space(rule=WeightRule(replacement="mean")))
    assert not space.means_the_same(prepared.space(exclude=("bits:head",)))
    assert not space.means_the_same(prepared.space(int8=("head",)))
    assert prepared.space(int8=("head",)).means_the_same(prepared.space(int8=("head",)))


def test_the_same_decisions_on_fewer_widths(space: Space) -> None:
    fewer = space.network.restricted({"stem": [4, 8]})
    other = space.on(fewer)
    assert labels(other.choices) == LABELS
    assert other.choices[0].levels == (4, 8)
    assert other.choices[1:] == space.choices[1:]
    assert other.blocks.names == space.blocks.names


def test_an_evaluator_of_another_space_is_another_one(prepared: Prepared, space: Space) -> None:
    evaluator = prepared.evaluator(space)
    assert evaluator.deciding(prepared.space()) is evaluator
    other = evaluator.deciding(prepared.space("channels"))
    assert other is not evaluator
    assert other.dense == evaluator.dense


def test_excluded_layers_and_blocks_are_left_as_they_are(prepared: Prepared) -> None:
    def without(*patterns: str) -> set[str]:
        return set(LABELS) - set(labels(prepared.space(exclude=patterns).choices))

    assert without("bits:head") == {"bits:head"}
    assert without("weights:block2") == {f"weights:block2.{name}" for name in ("conv1", "conv2", "shortcut")}
    assert without("bits:*conv1", "weights:stem") == {"bits:block1.conv1", "bits:block2.conv1", "weights:stem"}
    with pytest.raises(ConfigError, match="nothing of the kind 'depth'"):
        without("depth:block1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ()}, "Something must be decided: any of depth, channels, weights, bits"),
        ({"kinds": ("chanels",)}, "Did you mean 'channels'"),
        ({"exclude": ("bit:head",)}, "Did you mean 'bits'"),
        ({"exclude": ("head",)}, "kind of decision 'head'"),
        ({"exclude": ("channels:stem",)}, "--ignore"),
        ({"kinds": ("channels",), "exclude": ("bits:head",)}, "Add its kind to --decide"),
        ({"kinds": ("bits", "depth", "bits")}, "named once; bits, depth, bits came"),
        ({"densities": (0, 50)}, r"from 1 to 100; \[0, 50\] came"),
        ({"densities": (50, 101)}, "from 1 to 100"),
        ({"bits": (2, 8)}, r"4, 8, 16 or 32; \[2, 8\] came"),
        ({"kinds": ("weights",), "densities": (100,)}, r"Some density must be below 100.*\[100\] came"),
        ({"kinds": ("bits",), "bits": (32,)}, r"Some precision must be below 32 bits.*\[32\] came"),
    ],
)
def test_impossible_decisions_are_refused(settings: dict[str, tuple[object, ...]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Decisions(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", ["bits:heat", "weights:", "bits:block3.*"])
def test_an_exclusion_that_matches_nothing_is_refused(prepared: Prepared, pattern: str) -> None:
    with pytest.raises(ConfigError, match="matches none"):
        prepared.space(exclude=(pattern,))


def test_a_kind_of_which_there_is_nothing_is_refused() -> None:
    network = prepare("concat").network
    with pytest.raises(ConfigError, match=r"nothing of the kind 'depth'"):
        Space(network, Decisions(("channels", "depth")))


@pytest.mark.parametrize("shape", [(3,), (2, 18), (1, 20), (1, 1, 19)])
def test_a_plan_has_one_level_for_each_choice(space: Space, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="one level for each of the 19 choices"):
        space.as_matrix(np.ones(shape, dtype=np.int64))


def test_the_untouched_level_is_always_there_and_a_pattern_leaves_one_other() -> None:
    assert Decisions(densities=(50, 20)).levels_of_weight() == (20, 50, 100)
    assert Decisions(rule=WeightRule("2:4")).levels_of_weight() == (50, 100)
    assert Decisions(rule=WeightRule("1:3")).levels_of_weight() == (33, 100)


def test_levels_and_shares() -> None:
    density = Choice("a", "weights", (10, 50, 100), "a")
    assert (density.full, density.lowest, density.share(50)) == (100, 0.1, 0.5)
    assert [density.level_at(share) for share in (0.0, 0.29, 0.3, 0.31, 0.76, 1.0)] == [10, 10, 10, 50, 100, 100]
    bits = Choice("a", "bits", (4, 8, 32), "a")
    assert [bits.level_at(share) for share in (0.125, 0.2, 0.25, 0.62, 0.63)] == [4, 8, 8, 8, 32]
    width = Choice("a", "channels", (2, 8), "a")
    assert width.level_at(0.6) == 5  # the walk takes the nearest option
    block = Choice("a", "depth", (0, 1), "a")
    assert [block.level_at(share) for share in (0.0, 0.5, 0.6)] == [0, 0, 1]


def test_the_full_row_changes_nothing(prepared: Prepared, space: Space) -> None:
    mixed, alone = prepared.evaluator(space), prepared.evaluator(Space(prepared.network))
    assert mixed(space.full).divergence == 0.0
    assert mixed.outputs(space.full).equal(alone.outputs(prepared.network.dense_widths))
    row = row_of(space, {"channels:stem": 4, "channels:block2.conv1": 8})
    assert mixed.outputs(row).equal(alone.outputs(space.widths(row[None])[0]))
    assert not mixed.outputs(row).equal(mixed.outputs(space.full))
