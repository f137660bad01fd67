"""What a case answered and wrote, compared with its recording to the bit, but for what a clock tells, and versions."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.gate.cases import Case
from tests.gate.running import RUNS, answer_file

Times = tuple[tuple[re.Pattern[str], str], ...]

CLOCK = {"seconds", "inference_seconds", "elapsed", "time", "started", "wall_seconds", "cpu_seconds", "search_seconds"}
"""Fields and columns that a clock tells."""
MEASURED = {
    "latency_measured_ms", "latency_corrected_ms", "latency_p99_measured_ms", "images_per_second", "latency_ms",
    "latency_p99_ms", "energy_mj", "fronts", "chosen", "reasons",
}  # fmt: skip
"""Fields that follow from a measured latency, among them fronts over it and the knee that is chosen on them."""
VERSIONS = {"machine", "other_versions"}
"""Fields that tell the machine, the libraries and the commit."""
UNREAD = ("versions.json", ".lock")
"""Files that tell the same."""
PAGES = (".md", ".html", ".png")
"""Files for people; they are compared where it is asked for, and not where latency is measured."""
TIMES: Times = (
    (re.compile(r"\bin [\d.]+ (s|min|h)\b"), "in # s"),
    (re.compile(r"agree to [\d.]+%"), "agree to #%"),
    (re.compile(r"(│ (?:wall|cpu)_seconds ).*"), r"\1"),
    (re.compile(r"Versions and machine are those of the run\.|Other than when the run was made: .*"), "Versions: #"),
)
"""Times and versions within texts, and what stands in their place."""
PAGE_TIMES = ((re.compile(r"\d+(?= seconds| of processor time)|\b\d+\.\d(?![\d%])|\b[0-9a-f]{40}\b"), "#"),)
"""The same for pages: they tell seconds with one digit after the point among other figures, and the commit."""


def differences(case: Case, old: Path, new: Path, pages: bool = False) -> list[str]:
    """What differs between the recordings ``old`` and ``new`` of a case, each in one line; empty where nothing does."""
    found = list(_in_answers(case, old, new))
    folders = [folder / RUNS / case.name for folder in (old, new)]
    names = [_names(folder) for folder in folders]
    found += [f"{name}: missing" for name in sorted(names[0] - names[1])]
    found += [f"{name}: not recorded" for name in sorted(names[1] - names[0])]
    for name in sorted(names[0] & names[1]):
        if Path(name).name in UNREAD or name.startswith("tensorboard/"):
            continue
        if Path(name).suffix in PAGES and (case.measured or not pages):
            continue
        found += itertools.islice(_in_files(case, *(folder / name for folder in folders)), 3)
    return found


def _names(folder: Path) -> set[str]:
    """Files, as paths below the folder; event files of TensorBoard by their folder, as their names hold the time."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path.parent if "tfevents" in path.name else path) for path in files}


def _in_answers(case: Case, old: Path, new: Path) -> Iterator[str]:
    answers = [json.loads(answer_file(folder, case).read_text()) for folder in (old, new)]
    if answers[0]["code"] != answers[1]["code"]:
        yield f"exit code: {answers[0]['code']} -> {answers[1]['code']}: {answers[1]['stderr'].strip()[-300:]}"
        return
    numbers = case.numbers and not case.measured
    for stream in ("stdout", "stderr"):
        lines = [_lines(answer[stream], numbers or stream == "stderr") for answer in answers]
        yield from itertools.islice(_first(stream, *lines), 1)


def _lines(text: str, numbers: bool) -> list[str]:
    """The printed lines without times and the widths of columns; of each progress its last one."""
    lines = []
    for line in without_times(text).splitlines():
        plain = re.sub(r"[\s─━═┬┴┼╇┳╋┻╈]+", " ", line).strip()
        lines.append(plain if numbers else re.sub(r"\d[\d.,]*", "#", plain))
    grouped = itertools.groupby(filter(None, lines), key=lambda line: line.split(": ")[0] if "in # s" in line else line)
    return [list(group)[-1] for _, group in grouped]


def without_times(text: str, times: Times = TIMES) -> str:
    """A text with ``#`` for what a clock tells."""
    for pattern, instead in times:
        text = pattern.sub(instead, text)
    return text


def _in_files(case: Case, old: Path, new: Path) -> Iterator[str]:
    dropped = CLOCK | VERSIONS | (MEASURED if case.measured else set())
    texts = [path.read_bytes() for path in (old, new)]
    if texts[0] == texts[1]:
        return
    if old.suffix in (".json", ".jsonl"):
        values = [_flat([json.loads(line) for line in _documents(old, text)], dropped) for text in texts]
    elif old.suffix == ".csv":
        values = [_flat(list(csv.DictReader(io.StringIO(text.decode()))), dropped) for text in texts]
    elif old.suffix in (*PAGES[:2], ".txt", ".yaml"):
        values = [without_times(text.decode(), (*TIMES, *PAGE_TIMES)).splitlines() for text in texts]
    else:
        yield f"{old.name}: other bytes"
        return
    yield from _first(old.name, *values)


def _documents(path: Path, text: bytes) -> list[bytes]:
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def _flat(value: Any, dropped: Iterable[str], where: str = "") -> list[str]:
    """Every leaf in a line with the path to it; leaves are written so that other bits are other text.

    A name for nothing, as of costs that no row has, is as good as no name.
    """
    if isinstance(value, dict):
        if any(isinstance(item, str) and item in CLOCK for item in value.values()):
            return [f"{where} is a claim about a time"]
        kept = ((key, item) for key, item in value.items() if key not in dropped and item != {})
        return [line for key, item in kept for line in _flat(item, dropped, f"{where}/{key}")] or [f"{where} = {{}}"]
    if isinstance(value, list):
        items = enumerate(value)
        return [line for place, item in items for line in _flat(item, dropped, f"{where}/{place}")] or [f"{where} = []"]
    return [f"{where} = {without_times(value) if isinstance(value, str) else value!r}"]


def _first(name: str, old: list[str], new: list[str]) -> Iterator[str]:
    for before, after in itertools.zip_longest(old, new, fillvalue="nothing"):
        if before != after:
            yield f"{name}: {before[:160]} -> {after[:160]}"
