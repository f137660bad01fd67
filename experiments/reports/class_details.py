"""The part of a report that says more about accuracy than one score: measures, classes, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rlprune.arrays import IntArray
from rlprune.experiments.presenting.document import Block, Picture, Table, Words
from rlprune.experiments.reports.outcome import dense_of
from rlprune.experiments.runs.details import LOWER, label_of, measure_text, numbers_table
from rlprune.experiments.runs.result import Result, ToldDetails
from rlprune.tasks.measures import Details

CONFUSION, RECALL, SUPPORT = "confusion", "class_recall", "class_support"
CAPTION = (
    "Which class was taken for which, before and after pruning: a row is a true class, a column what it was taken for. "
    "Numbers are samples, colours shares of the row."
)
PICTURED = 20
"""With more classes the most frequent mistakes stand in a table instead."""
LISTED = 8

Pairs = dict[tuple[int, int], int]


def details(result: Result, pictures: Mapping[str, Path]) -> list[Block]:
    """Measures of every network; what the kept plan confuses and where it lost most. Nothing where nothing is told."""
    dense, kept, split = compared(result)
    if not kept:
        return []
    drawn: list[Block] = [Picture(pictures[CONFUSION], CAPTION)] if CONFUSION in pictures else []
    mistakes = [] if drawn else _mistakes(dense, kept, result.winner)
    validation = _measures(result, "validation") if split == "test" else []
    told = [*_formula(kept, result.winner), *drawn, *mistakes, *_lost(dense, kept, result.winner)]
    return [*_measures(result, split), *told, *validation]


def compared(result: Result) -> tuple[Details, Details, str]:
    """Details of the dense network and of the kept plan, and the split that they are of."""
    told = result.details or ToldDetails([], {})
    split = told.last_split(result.winner)
    return told.of(dense_of(result).name, split), told.of(result.winner, split), split


def confusions(result: Result) -> tuple[dict[str, IntArray], str]:
    """Confusion matrices of the dense network and of the kept plan, ``int64 [classes, classes]``, and their split.

    None where one is not known, or has too many classes for a picture.
    """
    dense, kept, split = compared(result)
    told = {"dense": dense.get(CONFUSION), result.winner: kept.get(CONFUSION)}
    known = {name: np.array(matrix, dtype=np.int64) for name, matrix in told.items() if matrix}
    return (known if len(known) == 2 and len(known["dense"]) <= PICTURED else {}), split


def _measures(result: Result, split: str) -> list[Block]:
    """Every measure of every network; the head of the first column is the split."""
    heads, lines = numbers_table(result.details, [row.name for row in result.rows], split)
    if not lines:
        return []
    arrows = [Words(f"{LOWER.strip()}: less is better; of all else more is.")]
    return [Table(heads, lines), *(arrows if result.details and result.details.lower_is_better else [])]


def _formula(kept: Details, winner: str) -> list[Block]:
    """The article's accuracy of two classes, in numbers."""
    counts = [kept.get(name) for name in ("tp", "tn", "fp", "fn")]
    if not all(isinstance(count, int) for count in counts) or kept.get("accuracy") is None:
        return []
    tp, tn, fp, fn = counts
    total = f"({tp} + {tn}) / ({tp} + {tn} + {fp} + {fn}) = {measure_text('accuracy', kept['accuracy'])}"
    return [Words(f"Accuracy of {winner}: {label_of('accuracy', [])} = {total}; class 1 is the positive one.")]


def _lost(dense: Details, kept: Details, winner: str) -> list[Block]:
    """The classes of which the kept plan recognises fewer samples than the dense network."""
    before, after, support = (of.get(name) for of, name in ((dense, RECALL), (kept, RECALL), (kept, SUPPORT)))
    if not (before and after and support):
        return []
    both = [(b - a, label) for label, (b, a) in enumerate(zip(before, after, strict=True)) if None not in (b, a)]
    worst = [(lost, label) for lost, label in sorted(both, key=lambda one: (-one[0], one[1])) if lost > 0][:LISTED]
    if not worst:
        return [Words(f"{winner} lost recall in no class.")]
    cells = []
    for lost, label in worst:
        shares = [measure_text("recall", share) for share in (before[label], after[label], lost)]
        cells.append([str(label), str(support[label]), shares[0], shares[1], f"−{shares[2]}"])
    return [
        Words(f"Where {winner} lost recall most (share of a class's samples that are recognised):"),
        Table(["class", "samples", "dense", winner, "lost"], cells),
    ]


def _mistakes(dense: Details, kept: Details, winner: str) -> list[Block]:
    """The most frequent mistakes of the kept plan, where there are too many classes for a picture."""
    pairs, before = confused_pairs(kept), confused_pairs(dense)
    most = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
    if not most:
        return []
    cells = [
        [str(truth), str(taken), str(before.get((truth, taken), "-")), str(count)] for (truth, taken), count in most
    ]
    return [
        Words(f"The most frequent mistakes of {winner}, in samples:"),
        Table(["class", "taken for", "dense", winner], cells),
    ]


def confused_pairs(told: Details) -> Pairs:
    """(true class, taken for) to the number of samples; of many classes only the most frequent are known."""
    if "confused" in told:
        return {(truth, taken): count for truth, taken, count in told["confused"]}
    matrix = told.get(CONFUSION, [])
    cells = ((truth, taken, count) for truth, line in enumerate(matrix) for taken, count in enumerate(line))
    return {(truth, taken): count for truth, taken, count in cells if count and truth != taken}
