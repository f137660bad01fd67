"""The report of a run, made from the files of its folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlprune.errors import RunError
from rlprune.experiments import profile_pictures
from rlprune.experiments.episodes import EpisodeTable, read_csv
from rlprune.experiments.pictures import draw_all
from rlprune.experiments.rows import Row
from rlprune.experiments.run_folder import REPORT, RunFolder
from rlprune.experiments.tables import markdown, markdown_mapping, markdown_rows

CAPTIONS = {
    "learning-curve": "Reward of every episode and the best so far, against plans evaluated.",
    "keep-ratios": "What each group keeps; the numbers at the bars are channels.",
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
    except (KeyError, TypeError, IndexError) as reason:
        raise RunError(
            f"{run.path} holds a result that cannot be reported ({reason!r} is missing or wrong). Train again."
        ) from reason
    return result


def episode_tables(run: RunFolder, result: Mapping[str, Any]) -> dict[str, EpisodeTable]:
    """Method to its table of episodes."""
    return {name: read_csv(run.path / f"episodes-{name}.csv") for name in result["searches"]}


def report_text(run: RunFolder, result: Mapping[str, Any], pictures: list[Path]) -> str:
    """The report as Markdown."""
    rows = [Row.from_dict(row) for row in result["rows"]]
    command = (run.path / "command.txt").read_text(encoding="utf-8").strip()
    parts = [
        f"# {result['network']} on {result['task']}, {', '.join(result['budgets'])}",
        result["verdict"],
        "## Result",
        markdown_rows(result["metric"], rows),
        notes(result),
        *pictures_text(pictures),
        "## The plans",
        plan_table(result, rows),
        "## The search",
        search_table(result),
        "## How it was made",
        f"```\n{command}\n```",
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
