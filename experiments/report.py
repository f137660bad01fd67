"""The report of a run, made from the files of its folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments import profile_pictures
from rlprune.experiments.episodes import EpisodeTable, read_csv
from rlprune.experiments.pictures import draw_all
from rlprune.experiments.result_shape import MALFORMED
from rlprune.experiments.rows import Row, score_text
from rlprune.experiments.run_folder import REPORT, RunFolder
from rlprune.experiments.tables import markdown, markdown_mapping, markdown_rows

CAPTIONS = {
    "learning-curve": "Reward of every episode and the best so far, against plans evaluated.",
    "keep-ratios": "What each group keeps; the numbers at the bars are channels.",
    "front": "The best plan of each method at every budget of the range, and the policy's own, made without search.",
    "accuracy-against-cost": "Every plan that was evaluated; the dashed line is the budget.",
    **profile_pictures.CAPTIONS,
}


def write_report(run: RunFolder) -> dict[str, Any]:
    """Draw the pictures, write ``report.md``, and return the result it rests on.

    Raises:
        RunError: a file of the run is missing or malformed.
    """
    result = run.result()
    try:
        pictures = draw_all(run.path, result, episode_tables(run, result))
        if result.get("profile") is not None:
            pictures += profile_pictures.draw_profile(result["profile"], run.path / "pictures")
        run.write_text(REPORT, report_text(run, result, pictures))
    except RlpruneError:
        raise
    except MALFORMED as reason:
        raise RunError(
            f"{run.path} holds a result that cannot be reported ({reason!r} is missing or wrong). Train again."
        ) from reason
    return result


def episode_tables(run: RunFolder, result: Mapping[str, Any]) -> dict[str, EpisodeTable]:
    """Method to its table of episodes."""
    return {name: read_csv(run.episodes(name)) for name in result["searches"]}


def report_text(run: RunFolder, result: Mapping[str, Any], pictures: list[Path]) -> str:
    """The report as Markdown."""
    rows = [Row.from_dict(row) for row in result["rows"]]
    parts = [
        f"# {result['network']} on {result['task']}, {', '.join(result['budgets'])}",
        result["verdict"],
        "## Result",
        markdown_rows(result["metric"], rows),
        notes(result),
        *front_text(result),
        *pictures_text(pictures),
        "## The plans",
        plan_table(result, rows),
        "## The search",
        search_table(result),
        "## How it was made",
        f"```\n{run.command()}\n```",
        markdown_mapping(("", ""), _facts(result)),
        "Settings: `config.yaml`. Versions: `versions.json`. Every episode: `episodes-*.csv`. "
        "Plans: `plan.json`, `plans/`. Curves: `tensorboard --logdir tensorboard`.",
    ]
    return "\n\n".join(parts) + "\n"


def notes(result: Mapping[str, Any]) -> str:
    """What the columns mean, and what the measured ones rest on."""
    return " ".join(result["notes"])


def pictures_text(pictures: list[Path]) -> list[str]:
    """Every picture with its caption."""
    return [f"![{CAPTIONS[path.stem]}](pictures/{path.name})\n\n*{CAPTIONS[path.stem]}*" for path in pictures]


def plan_table(result: Mapping[str, Any], rows: list[Row]) -> str:
    """Channels of each group in every row."""
    heads = ["group", *(row.name for row in rows)]
    names = [group["name"] for group in result["groups"]]
    return markdown(
        heads, [[f"`{name}`", *(str(row.widths[index]) for row in rows)] for index, name in enumerate(names)]
    )


def front_text(result: Mapping[str, Any]) -> list[str]:
    """The front of a range as a table: a line a budget, a column a method; what nobody beats stands out."""
    front = result.get("front")
    if front is None:
        return []
    points = {(point["budget"], point["method"]): point for point in front["points"]}
    methods = list(dict.fromkeys(method for _, method in points))
    cells = []
    for budget in dict.fromkeys(budget for budget, _ in points):
        own = points[budget, result["agent"]]
        latency = own["latency_measured_ms"] or own["latency_promised_ms"]
        scores = [_score_cell(points.get((budget, method)), front["best"]) for method in methods]
        cells.append([budget, *scores, _shown(latency), _shown(own["energy_mj"])])
    heads = ["budget", *methods, f"latency of {result['agent']}, ms", "energy, mJ"]
    words = (
        f"Validation {result['metric']} at every budget; bold: no other plan is as good for less. *policy* is the "
        "learned policy by itself: one walk, no search. "
        f"Plans: `plans/{result['agent']}-*.json`, `plans/policy-*.json`."
    )
    return ["## The front", markdown(heads, cells), words]


def _score_cell(point: Mapping[str, Any] | None, best: Sequence[str]) -> str:
    if point is None:
        return "-"
    text = score_text(point["score_validation"])
    return f"**{text}**" if point["name"] in best else text


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def search_table(result: Mapping[str, Any]) -> str:
    """Episodes, evaluations and time of each method."""
    heads = ["method", "episodes", "evaluations", "cache hits", "best reward", "seconds", "of them inference"]
    cells = [
        [
            name,
            *(str(item[key]) for key in ("episodes", "evaluations", "cache_hits")),
            f"{item['best_reward']:.4f}",
            *(f"{item[key]:.1f}" for key in ("seconds", "inference_seconds")),
        ]
        for name, item in result["searches"].items()
    ]
    return markdown(heads, cells)


def _facts(result: Mapping[str, Any]) -> dict[str, object]:
    facts: dict[str, object] = {
        "seed": result["seed"],
        "reward": result["reward"],
        "validation images of one evaluation": result["samples"],
        "reward of the uniform plan": f"{result['marks']['uniform']['reward']:.4f}",
    }
    if result["device"] is not None:
        facts |= result["device"]
    return facts | {f"seconds: {name}": f"{seconds:.1f}" for name, seconds in result["seconds"].items()}
