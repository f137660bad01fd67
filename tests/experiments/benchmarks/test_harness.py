"""What all benchmarks share: cases, going on where one stopped, tables, files, one-line errors."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlprune.errors import RlpruneError
from rlprune.experiments.benchmarks.columns import average, first, groups, mean, percent, spread, table
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.searches import at_least
from rlprune.experiments.presenting.document import Section, Words


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--power", nargs="+", type=int, default=[1, 2])


def power(case: Case) -> list[Row]:
    if case.power > 5:
        raise RlpruneError("too much")
    return [{"value": case.base**case.power}]


def where(case: Case) -> list[Row]:
    return [{**power(case)[0], "process": os.getpid()}]


def tables(rows: Rows) -> Iterator[Section]:
    yield Section("Powers", [table(rows, ["base"], {"value": mean("value", ".1f")}), Words("That is all.")])


def powers(run: object = power, apart: bool = False) -> Benchmark:
    over = ("base", "power")
    return Benchmark("powers", "Of numbers.", flags, over, run, tables, lambda o: at_least(o, base=1), apart=apart)  # type: ignore[arg-type]


def test_every_combination_is_a_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "out.json", tmp_path / "page.md"
    assert powers().main(["--out", str(out), "--markdown", str(page)]) == 0
    report = json.loads(out.read_text())
    rows = [row for case in report["cases"] for row in case["rows"]]
    assert [(row["base"], row["power"], row["value"]) for row in rows] == [(2, 1, 2), (2, 2, 4), (3, 1, 3), (3, 2, 9)]
    assert all(case["processor"] for case in report["cases"])
    assert "That is all." in capsys.readouterr().out
    assert "| 3 | 6.0 ± 4.2 |" in page.read_text()
    assert "rlprune.experiments.benchmarks.powers" in page.read_text()


def test_cases_of_the_file_are_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[tuple[int, int]] = []

    def noted(case: Case) -> list[Row]:
        ran.append((case.base, case.power))
        return power(case)

    call = ["--base", "2", "--out", str(tmp_path / "out.json")]
    assert powers(noted).main([*call, "--power", "1", "9"]) == 2  # the second fails, the first stays
    assert "error: too much" in capsys.readouterr().err
    assert powers(noted).main([*call, "--power", "1", "2"]) == 0
    assert ran == [(2, 1), (2, 9), (2, 2)]
    assert "3.0 ± 1.4" in capsys.readouterr().out


@pytest.mark.parametrize("apart", [False, True])
def test_a_case_may_have_a_process_of_its_own(tmp_path: Path, apart: bool) -> None:
    out = tmp_path / "out.json"
    assert powers(where, apart).main(["--base", "2", "--power", "1", "--out", str(out)]) == 0
    [case] = json.loads(out.read_text())["cases"]
    assert (case["rows"][0]["process"] != os.getpid()) == apart


def test_mistakes_end_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"schema": "rlprune-benchmark/1", "benchmark": "roots", "cases": []}')
    for call, message in (
        (["--out", str(other)], "Name another --out"),
        (["--processes", "0"], "--processes must be at least 1"),
        (["--base", "2", "0"], "--base must be at least 1; 0 came."),
    ):
        assert powers().main(call) == 2
        assert message in capsys.readouterr().err


def test_columns_tell_of_the_rows_of_a_line() -> None:
    rows = [{"method": "b", "share": 0.5, "n": 3}, {"method": "a", "n": None}, {"method": "b", "share": 0.7, "n": 4}]
    assert {key: len(own) for key, own in groups(rows, "method").items()} == {("b",): 2, ("a",): 1}
    columns = {"share": percent("share"), "n": first("n", ".1f"), "mean": lambda own: average("n", ".1f")(own[:1])}
    found = table([rows[0], rows[2]], ["method"], columns)
    assert (found.heads, found.cells) == (["method", "share", "n", "mean"], [["b", "60.00 ± 14.14", "3.0", "3.0"]])
    assert (percent("share")([rows[1]]), first("n")([rows[1]]), spread([0.5])) == ("-", "-", "0.50")
