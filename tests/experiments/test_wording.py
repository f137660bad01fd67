"""Words in tables and answers that could mislead: units, batches, widths, volumes, names that are no text."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rlprune.experiments.fronting.evaluated_plans import measured_plans
from rlprune.experiments.fronting.front import Front
from rlprune.experiments.fronting.front_tables import volume_table, volume_title
from rlprune.experiments.pipeline.provenance import batch_note
from rlprune.experiments.runs.columns import columns
from rlprune.experiments.runs.conditions import differences
from rlprune.experiments.runs.finished import FinishedRun
from rlprune.experiments.runs.row import Row
from rlprune.experiments.surveys.profiling import paying_words
from rlprune.networks.network import Network
from rlprune.zoo import load_zoo, zoo_entry

ROW = Row("dense", "dense", 0.9, 0.0, 3e6, 1e5, 4e5, (8,), latency_measured_ms=0.068, latency_p99_measured_ms=0.1)


def cells(*rows: Row) -> dict[str, list[str]]:
    return {f"{column.head} {column.unit}": [column.cell(row) for row in rows] for column in columns("accuracy", rows)}


def test_a_batch_is_said_where_latency_is_of_one() -> None:
    assert "latency measured, ms" in cells(ROW)
    shown = cells(replace(ROW, batch=256))
    assert shown["latency measured, ms for 256"] == ["0.068"]
    assert shown["speed samples/s"] == [f"{256e3 / 0.068:.0f}"]
    assert batch_note(1) == []
    assert "a call of 256 samples" in batch_note(256)[0]


def test_small_networks_have_digits_too() -> None:
    small = replace(ROW, macs=9_300.0, latency_measured_ms=0.00671)
    shown = cells(small, replace(small, macs=470.0, latency_measured_ms=0.00629))
    assert shown["MACs k"] == ["9.3", "0.5"]
    assert shown["latency measured, ms"] == ["0.0067", "0.0063"]
    assert cells(ROW, small)["MACs M"] == ["3.00", "0.01"]


@pytest.mark.parametrize(
    ("narrowed", "words"),
    [
        ({}, "every allowed one of every group."),
        ({"stem.0": (16, 32)}, "stem.0: 16, 32; {others}: every allowed one."),
        ({"stages.2.0.first.0": tuple(range(16, 129, 16))}, "{others}: every allowed one; {own}: 16..128 step 16."),
    ],
)
def test_widths_that_pay_are_said_in_steps(narrowed: dict[str, tuple[int, ...]], words: str) -> None:
    network = Network(load_zoo("digits-resnet"), zoo_entry("digits-resnet").example_inputs())
    every = {group.name: tuple(group.widths) for group in network.groups}
    others = ", ".join(name for name in every if name not in narrowed)
    expected = words.format(others=others, own=", ".join(narrowed))
    assert paying_words({**every, **narrowed}, network) == expected


CONDITIONS = {
    "network": "mine:a",
    "network fingerprint": "ab" * 32,
    "dense network": "validation 90.00%, test 89.00%",
    "task": "words",
    "calibration samples": "cd" * 32,
    "test samples": "ef" * 32,
    "metric": "accuracy",
    "budget": "macs=0.5",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            dict.fromkeys(CONDITIONS, "x"),
            "network (mine:a against x), task (words against x), budget (macs=0.5 against x)",
        ),
        ({"test samples": "x", "dense network": "x"}, "the test samples"),
        ({"network fingerprint": "x"}, "the layers of the network, which has the same name"),
    ],
)
def test_runs_that_are_unlike_differ_in_few_words(changes: dict[str, str], words: str) -> None:
    assert differences(CONDITIONS, CONDITIONS | changes) == words


def test_volumes_side_by_side_are_of_the_same_objectives(trained: Any) -> None:
    run = FinishedRun.read(trained.path)
    plans = measured_plans(run)
    wide, narrow = (
        Front("measured", names, plans) for names in (("accuracy", "latency", "macs"), ("accuracy", "macs"))
    )
    heads, lines = volume_table([wide, narrow], [run.path])
    assert heads == ["", "measured", "measured"]
    assert all(one == other for _, one, other in lines)
    assert volume_title([wide, narrow], "ndcg@10") == "Hypervolume of ndcg@10, macs"


@pytest.mark.parametrize(
    "arguments", [("report", "runs/\udcff"), ("train", "--out", "a\udcfe"), ("inspect", "--network", "\ud800")]
)
def test_names_that_are_no_text_are_refused(call: Any, arguments: tuple[str, ...]) -> None:
    called = call(*arguments)
    assert called.code == 2
    assert re.fullmatch(
        r"rlprune: Names of files and folders must be UTF-8; '.*\\\w+' came\. Rename it\.", called.err.strip()
    )


def test_a_run_with_such_a_name_is_left_out(call: Any, trained: Any, tmp_path: Path) -> None:
    shutil.copytree(trained.path, tmp_path / "fine")
    shutil.copytree(trained.path, tmp_path / "b\udcff")
    called = call("compare", tmp_path, "--out", tmp_path / "out")
    assert called.code == 0, called.err
    assert "Left out: Names of files and folders must be UTF-8" in called.out


def test_samples_are_called_samples(call: Any, trained: Any, tmp_path: Path) -> None:
    run = shutil.copytree(trained.path, tmp_path / "run")
    called = call("report", run)
    for text in (called.out, (run / "report.md").read_text()):
        assert "image" not in text
