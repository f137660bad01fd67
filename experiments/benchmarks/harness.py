"""What benchmarks share: flags, cases, going on where one stopped, JSON, tables, pictures, errors in one line."""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlprune.devices.host import cpu_model
from rlprune.errors import ConfigError, RlpruneError
from rlprune.experiments.presenting.document import Document, Section, Table, Words, to_markdown
from rlprune.experiments.presenting.styles import save_figure
from rlprune.experiments.runs.tables import print_table
from rlprune.support.files import read_json, write_atomic, write_json
from rlprune.support.threads import torch_threads

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "rlprune-benchmark/1"
HARNESS = ("out", "markdown", "pictures", "processes")
"""Flags that change no figure."""

Case = argparse.Namespace
"""All flags of a benchmark; of those that vary, one value."""
Row = dict[str, Any]
"""What was measured, as plain values."""
Rows = Sequence[Mapping[str, Any]]


def no_pictures(rows: Rows) -> Iterator[tuple[str, Figure]]:
    """For a benchmark that draws none."""
    return iter(())


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: of its file.
        text: what it is about; the help shows it.
        flags: adds its flags to a parser.
        over: flags of several values. Every combination is a case; the last one varies fastest.
        run: the rows of one case. The harness puts the case's values of ``over`` in front of each.
        tables: sections of tables and sentences about the rows of all cases.
        check: refuses flags out of range before anything is computed.
        pictures: names and figures, of the rows of all cases.
        apart: whether every case has a process of its own.
    """

    name: str
    text: str | None
    flags: Callable[[argparse.ArgumentParser], None]
    over: tuple[str, ...]
    run: Callable[[Case], list[Row]]
    tables: Callable[[Rows], Iterable[Section]]
    check: Callable[[Case], None] = lambda options: None
    pictures: Callable[[Rows], Iterable[tuple[str, Figure]]] = no_pictures
    apart: bool = False

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run from the command line; returns the exit code."""
        return run_script(self.text, self._flags, self._execute, arguments)

    def _flags(self, parser: argparse.ArgumentParser) -> None:
        self.flags(parser)
        parser.add_argument("--data-dir", help="folder of the task's files; found by itself where none is given")
        parser.add_argument("--out", help="JSON file to write; cases that it holds are not run again")
        parser.add_argument("--markdown", help="Markdown file for the tables")
        parser.add_argument("--pictures", help="folder for pictures")
        parser.add_argument("--processes", type=int, default=1, help="cases at once; leave it at 1 where times count")

    def _execute(self, options: Case) -> None:
        self.check(options)
        known = self._known(options.out)
        cases = list(self.cases(options))
        missing = [case for case in cases if _rows_of(case, known) is None]
        for case, rows in self._measured(missing, options.processes):
            known.append({"settings": _settings(case), "processor": cpu_model(), "rows": rows})
            if options.out:
                write_json(options.out, {"schema": SCHEMA, "benchmark": self.name, "cases": known})
        self._tell([row for case in cases for row in _rows_of(case, known) or []], options)

    def cases(self, options: Case) -> Iterator[Case]:
        """One for each combination of what varies."""
        for values in itertools.product(*(getattr(options, name) for name in self.over)):
            yield Case(**{**vars(options), **dict(zip(self.over, values, strict=True))})

    def _known(self, path: str | None) -> list[Row]:
        """The cases of an earlier call."""
        if path is None or not Path(path).exists():
            return []
        report = read_json(path, ConfigError)
        if (report.get("schema"), report.get("benchmark")) != (SCHEMA, self.name):
            raise ConfigError(f"{path} must hold cases of the benchmark {self.name}; it does not. Name another --out.")
        return list(report.get("cases", []))

    def _measured(self, cases: Sequence[Case], processes: int) -> Iterator[tuple[Case, list[Row]]]:
        if processes < 1:
            raise ConfigError(f"--processes must be at least 1; {processes} came.")
        if processes == 1 and not self.apart:
            yield from ((case, measured(self.run, self.over, case)) for case in cases)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
            work = {pool.submit(measured, self.run, self.over, case): case for case in cases}
            yield from ((work[done], done.result()) for done in as_completed(work))

    def _tell(self, rows: Rows, options: Case) -> None:
        sections = list(self.tables(rows))
        for section in sections:
            for block in section.blocks:
                if isinstance(block, Table):
                    print_table(section.title, block.heads, block.cells)
                elif isinstance(block, Words):
                    print(block.text)
        if options.markdown:
            made = Words(f"Made by `python -m rlprune.experiments.benchmarks.{self.name}`.")
            write_atomic(options.markdown, to_markdown(Document(self.name, [made], sections)))
        if options.pictures:
            for name, figure in self.pictures(rows):
                save_figure(figure, Path(options.pictures) / f"{name}.png")


def measured(run: Callable[[Case], list[Row]], over: Sequence[str], case: Case) -> list[Row]:
    """The rows of one case, with what tells it from others; in whatever process this is."""
    told = {name: getattr(case, name) for name in over}
    print(" ".join(map(str, told.values())), file=sys.stderr)
    with torch_threads(getattr(case, "threads", 1)):
        return [told | row for row in run(case)]


def _rows_of(case: Case, known: Rows) -> list[Row] | None:
    """What was measured of a case; None where it was not."""
    return next((one["rows"] for one in known if one["settings"] == _settings(case)), None)


def _settings(case: Case) -> Row:
    """A case as its file states it."""
    found: Row = json.loads(json.dumps({name: value for name, value in vars(case).items() if name not in HARNESS}))
    return found


def run_script(
    text: str | None,
    add_flags: Callable[[argparse.ArgumentParser], None],
    execute: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse flags and work.

    Returns:
        The exit code: 2 for anything a user got wrong, with the message on stderr.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser)
    try:
        execute(parser.parse_args(arguments))
    except RlpruneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
