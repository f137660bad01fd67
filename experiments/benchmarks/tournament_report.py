"""The tables and pictures of a tournament, made from its files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.envs.plan_figure import new_figure
from rlprune.errors import RunError
from rlprune.experiments.presenting.styles import FIXED, save_figure
from rlprune.experiments.runs.tables import markdown, print_table
from rlprune.support.files import read_json, write_atomic

SCHEMA = "rlprune-tournament/1"
REFERENCE, REFERENCE_AT = "evolutionary", 300
MARKS = (10, 25, 50, 100, 200, 300)
AGENTS = ("ddpg", "td3", "sac", "tqc", "ppo")
COLOURS = {
    "random": "#999999", "evolutionary": "#e69f00", "tpe": "#f0e442", "greedy": "#cc79a7", "sensitivity": "#009e73",
    "threshold": "#8c510a",
    "ddpg": "#0072b2", "td3": "#56b4e9", "sac": "#d55e00", "ppo": "#000000",
}  # fmt: skip

INTRODUCTION = """\
Divergence from the dense network on the search images (nats; lower is better) of the best plan after so many
evaluations, mean and standard deviation over seeds. *To reach*: evaluations until a search is as good as evolutionary
search is on average after 300; one that never is counts as all its evaluations. *Unseen*: accuracy of the best plan on
validation images that no search saw (on the digits all were seen), BatchNorm re-estimated; *fine-tuned*: after the
same short fine-tune. *Best*: the method that ended best in the case. *Seconds*: of one search alone, agent and
inference. The filled uniform plan is known before any search begins and costs none an evaluation. Methods that draw
nothing at random have one seed. Made by `python -m rlprune.experiments.benchmarks.tournament`."""

Case = Mapping[str, Any]


def read_cases(folder: Path) -> list[dict[str, Any]]:
    """The finished cases of a folder.

    Raises:
        RunError: a file is no case.
    """
    cases = [read_json(path, RunError) for path in sorted(folder.glob("*.json"))]
    for case in cases:
        if case.get("schema") != SCHEMA:
            raise RunError(f"{folder} must hold cases of schema {SCHEMA!r} only; {case.get('schema')!r} came.")
    return cases


def methods_of(case: Case) -> list[str]:
    """The methods of a case, in the order in which they ran."""
    return list(dict.fromkeys(search["method"] for search in case["searches"]))


def curves(case: Case, method: str, length: int) -> FloatArray:
    """Lowest divergence after 1 ... ``length`` evaluations of each seed, ``[seeds, length]``; NaN before the first."""
    rows = []
    for search in case["searches"]:
        if search["method"] == method:
            known = [np.nan if value is None else value for value in search["curve"]][:length]
            rows.append(known + [known[-1]] * (length - len(known)))
    return np.array(rows, dtype=np.float64)


def to_reach(case: Case, method: str, target: float) -> list[float]:
    """Evaluations of each seed until its divergence is at most ``target``; NaN where it never is."""
    found = []
    for row in curves(case, method, int(case["episodes"])):
        below = np.flatnonzero(row <= target)
        found.append(float(below[0] + 1) if len(below) else float("nan"))
    return found


def reference(case: Case) -> float | None:
    """Mean divergence of evolutionary search after 300 evaluations (or all, where there were fewer)."""
    if REFERENCE not in methods_of(case):
        return None
    return float(curves(case, REFERENCE, min(REFERENCE_AT, int(case["episodes"])))[:, -1].mean())


def summary(case: Case) -> dict[str, dict[str, Any]]:
    """For each method: divergence at the marks, evaluations to reach the reference, accuracies."""
    target = reference(case)
    rows = {}
    for method in methods_of(case):
        table = curves(case, method, int(case["episodes"]))
        own = [search for search in case["searches"] if search["method"] == method]
        marks = {str(mark): table[:, mark - 1] for mark in MARKS if mark <= table.shape[1]}
        reached = [] if target is None else to_reach(case, method, target)
        rows[method] = {
            "seeds": len(own),
            "divergence": {mark: _spread(values) for mark, values in marks.items()},
            "last": _spread(table[:, -1]),
            "reached": sum(not np.isnan(value) for value in reached),
            # Not reaching counts as all the evaluations there were: too little, and in the rivals' favour.
            "to_reach": _spread([case["episodes"] if np.isnan(value) else value for value in reached] or [np.nan]),
            "seconds": float(np.mean([search["own_seconds"] + search["inference_seconds"] for search in own])),
            "unseen": _spread([search["unseen"] for search in own]),
            "finetuned": _spread([search.get("finetuned", np.nan) for search in own]),
        }
    return rows


def _spread(values: Sequence[float] | FloatArray) -> dict[str, float | None]:
    known = np.asarray(values, dtype=np.float64)
    if np.isnan(known).any():
        return {"mean": None, "std": None}
    return {"mean": float(known.mean()), "std": float(known.std())}


def _text(spread: Mapping[str, float | None], form: str, scale: float = 1.0) -> str:
    if spread["mean"] is None or spread["std"] is None:
        return "-"
    return f"{scale * spread['mean']:{form}} ± {scale * spread['std']:{form}}"


def case_cells(case: Case) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the table of one case."""
    rows = summary(case)
    marks = [mark for mark in map(str, MARKS) if int(mark) <= case["episodes"]]
    heads = ["method", *(f"after {mark}" for mark in marks), "to reach", "reached", "unseen, %", "fine-tuned, %"]
    cells = [
        [
            method,
            *(_text(row["divergence"][mark], ".4f") for mark in marks),
            _text(row["to_reach"], ".0f"),
            f"{row['reached']} of {row['seeds']}",
            _text(row["unseen"], ".2f", 100),
            _text(row["finetuned"], ".2f", 100),
        ]
        for method, row in rows.items()
    ]
    return heads, cells


def overview(cases: Sequence[Case]) -> tuple[list[str], list[list[str]]]:
    """A line a method over all cases: evaluations to reach the reference, and where it ended against the best."""
    found: dict[str, dict[str, list[float]]] = {}
    for case in cases:
        rows = summary(case)
        best = min(row["last"]["mean"] for row in rows.values() if row["last"]["mean"] is not None)
        for method, row in rows.items():
            own = found.setdefault(method, {"to_reach": [], "reached": [], "excess": [], "early": [], "seconds": []})
            own["to_reach"].append(row["to_reach"]["mean"] or np.nan)
            own["reached"].append(row["reached"] / row["seeds"])
            own["excess"].append((row["last"]["mean"] or np.nan) / best)
            early = row["divergence"].get("50", {"mean": None})["mean"]
            own["seconds"].append(row["seconds"])
            own["early"].append(np.nan if early is None else early / best)
    heads = [
        "method",
        "cases",
        "to reach evolutionary@300",
        "searches that reach it",
        "KL after 50 / best",
        "KL at the end / best",
        "seconds",
    ]
    order = sorted(found, key=lambda method: np.mean(found[method]["to_reach"]))
    cells = [
        [
            method,
            str(len(found[method]["to_reach"])),
            f"{np.mean(found[method]['to_reach']):.0f}",
            f"{np.mean(found[method]['reached']):.0%}",
            "-" if np.isnan(found[method]["early"]).any() else f"{np.mean(found[method]['early']):.2f}",
            f"{np.mean(found[method]['excess']):.2f}",
            f"{np.mean(found[method]['seconds']):.0f}",
        ]
        for method in order
    ]  # fmt: skip
    return heads, cells


def losses(cases: Sequence[Case]) -> list[str]:
    """A sentence for each case and agent that ended behind a rival by more than their spread, or behind random."""
    lines = []
    for case in cases:
        rows = summary(case)
        rivals = {method: row for method, row in rows.items() if method.partition("/")[0] not in AGENTS}
        for agent in (method for method in rows if method in AGENTS):
            for rival, row in rivals.items():
                own, other = rows[agent]["last"], row["last"]
                if own["mean"] > other["mean"] + max(own["std"], other["std"]):
                    lines.append(
                        f"{case['network']}, {case['budget']}: {agent} ({own['mean']:.4f}) ends behind {rival} "
                        f"({other['mean']:.4f})."
                    )
    return lines


def draw(case: Case, path: Path) -> None:
    """Best divergence against evaluations: mean and range over seeds, from the first that all seeds have."""
    figure, (axes,) = new_figure(1, 8.5, 5.0)
    length = int(case["episodes"])
    for method in methods_of(case):
        if "/" in method:
            continue
        table, steps = curves(case, method, length), np.arange(1, length + 1)
        if method in FIXED:
            axes.axhline(float(table[0, -1]), color=FIXED[method].colour, ls=FIXED[method].line, label=method)
            continue
        colour = COLOURS.get(method, "#444444")
        axes.plot(steps, table.mean(axis=0), color=colour, label=method, lw=1.8 if method in AGENTS else 1.2)
        axes.fill_between(steps, table.min(axis=0), table.max(axis=0), color=colour, alpha=0.12)
    axes.set(xscale="log", yscale="log", xlabel="evaluations", ylabel="best divergence from the dense network, nats")
    axes.set_title(f"{case['network']}, {case['budget']}, {case['seeds']} seeds")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, frameon=False, ncols=2)
    save_figure(figure, path)


def write_report(folder: Path, cases: Sequence[Case], path: str | None) -> dict[str, Any]:
    """Print the tables, draw the pictures, write the Markdown, and return the summary."""
    played = [case for case in cases if case["searches"]]
    heads, cells = overview(played)
    print_table(f"{len(played)} cases", heads, cells)
    parts = ["# Tournament", INTRODUCTION, markdown(heads, cells)]
    for case in played:
        heads, cells = case_cells(case)
        title = f"{case['network']}, {case['budget']}"
        print_table(title, heads, cells)
        parts += [f"### {title}", markdown(heads, cells)]
        draw(case, folder / "summary" / f"{case['network']}-{case['budget'].replace('=', '')}.png")
    lost = losses(played)
    parts += ["### Losses", "\n".join(f"- {line}" for line in lost) if lost else "None."]
    left_out = [case for case in cases if not case["searches"]]
    impossible = [f"- {case['network']}, {case['budget']}: {case['impossible']}" for case in left_out]
    parts += ["### Budgets that no plan meets", "\n".join(impossible)] if impossible else []
    if path is not None:
        write_atomic(Path(path), "\n\n".join(parts) + "\n", RunError)
    return {
        "schema": f"{SCHEMA}-summary",
        "cases": [{"network": c["network"], "budget": c["budget"], "methods": summary(c)} for c in played],
        "losses": lost,
        "impossible": impossible,
    }
