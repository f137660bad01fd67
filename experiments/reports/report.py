"""The report of a run, made from the files of its folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments.fronting.fronts import Fronts
from rlprune.experiments.fronting.joining import Wishes, fronts_of
from rlprune.experiments.presenting.document import Document, markdown_table, to_markdown
from rlprune.experiments.presenting.page import to_html
from rlprune.experiments.reports import (
    confusion_picture,
    profile_pictures,
    report_details,
    report_objectives,
    report_outcome,
    report_sections,
)
from rlprune.experiments.reports.pictures import draw_all
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.finished import FinishedRun, episode_tables
from rlprune.experiments.runs.result import MALFORMED, Result, Row
from rlprune.experiments.runs.run_folder import FRONT, NETWORKS, PAGE, POLICY, REPORT, RunFolder
from rlprune.experiments.settings.commands import of_run
from rlprune.support.files import read_json


def write_report(run: RunFolder) -> Result:
    """Draw the pictures, write ``report.html`` and ``report.md``, and return the result they rest on.

    Raises:
        RunError: a file of the run is missing or malformed.
    """
    result = run.result()
    try:
        document = report_of(run, result)
        page, text = to_html(document), to_markdown(document)
    except RlpruneError:
        raise
    except MALFORMED as reason:
        raise RunError(
            f"{run.path} holds a result that cannot be reported ({reason!r} is missing or wrong). Train again."
        ) from reason
    run.write_text(PAGE, page)
    run.write_text(REPORT, text)
    return result


def notes(result: Result) -> str:
    """What the columns mean, and what the measured ones rest on."""
    return " ".join(result.notes)


def plan_table(result: Result, rows: Sequence[Row]) -> str:
    """Channels of each group in every row, as Markdown."""
    return markdown_table(report_sections.plan_table(result, rows))


def report_of(run: RunFolder, result: Result) -> Document:
    """The report; its pictures are drawn on the way, and the run's own front is written."""
    tables = episode_tables(run, result)
    fronts = fronts_of([FinishedRun(run.path.name, run.config(), result, tables)], Wishes(kept=True))
    run.write_json(FRONT, fronts.as_dict())
    pictures = _draw(run, result, tables, fronts)
    versions = run.path / "versions.json"
    return Document(
        f"{result.network} on {result.task}, {_budgets(result)}",
        report_outcome.opening(result, [name for name in NETWORKS if (run.path / name).is_file()]),
        [
            *report_sections.front(result, pictures),
            report_outcome.certainty(result),
            report_sections.methods(result),
            *report_details.details(result, pictures),
            report_sections.plan(result, pictures),
            report_objectives.section(fronts, pictures),
            report_sections.search(pictures),
            *report_sections.promises(result, pictures),
            report_sections.cost(result),
            report_sections.repeat(
                result,
                run.command(),
                read_json(versions, RunError) if versions.is_file() else {},
                of_run(run.path, run.config(), result.budgets, (run.path / POLICY).is_file()),
            ),
            report_sections.glossary(),
        ],
    )


def _budgets(result: Result) -> str:
    front = result.front
    return ", ".join(result.budgets) if front is None else front.range


def _draw(run: RunFolder, result: Result, tables: Mapping[str, EpisodeTable], fronts: Fronts) -> dict[str, Path]:
    """Every picture that there are data for, by its name."""
    drawn = draw_all(run.path, result, tables)
    drawn += fronts.draw(run.path / "pictures", report_objectives.PICTURE)
    drawn += confusion_picture.draw_confusion(result, run.path / "pictures")
    if result.profile is not None:
        drawn += profile_pictures.draw_profile(result.profile, run.path / "pictures")
    return {path.stem: path for path in drawn}
