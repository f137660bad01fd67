"""The report of a run, made from the files of its folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments.fronting.fronts import Fronts
from rlprune.experiments.fronting.joining import Wishes, fronts_of
from rlprune.experiments.presenting.document import Document, to_markdown
from rlprune.experiments.presenting.page import to_html
from rlprune.experiments.presenting.styles import save_figure
from rlprune.experiments.reports import outcome, sections
from rlprune.experiments.reports.class_details import details
from rlprune.experiments.reports.pictures import asked, figures_of
from rlprune.experiments.reports.profile_pictures import figures_of_profile
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.finished import FinishedRun
from rlprune.experiments.runs.result import MALFORMED, Result
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


def report_of(run: RunFolder, result: Result) -> Document:
    """The report; its pictures are drawn on the way, and the run's own front is written."""
    tables = run.episode_tables(result.searches)
    fronts = fronts_of([FinishedRun(run.path.name, run.config(), result, tables)], Wishes(kept=True))
    run.write_json(FRONT, fronts.as_dict())
    pictures = _drawn(run.path / "pictures", result, tables, fronts)
    versions = run.path / "versions.json"
    policy = (run.path / POLICY).is_file()
    return Document(
        f"{result.network} on {result.task}, {asked(result)}",
        outcome.opening(result, [name for name in NETWORKS if (run.path / name).is_file()]),
        [
            *sections.range_front(result, pictures),
            outcome.against_uniform(result, details(result, pictures)),
            sections.plan(result, pictures),
            *sections.promises(result, pictures),
            sections.search(pictures, fronts),
            sections.cost(result),
            sections.repeat(
                result,
                run.command(),
                read_json(versions, RunError) if versions.is_file() else {},
                of_run(run.path, run.config(), result.budgets, policy),
            ),
        ],
    )


def _drawn(folder: Path, result: Result, tables: Mapping[str, EpisodeTable], fronts: Fronts) -> dict[str, Path]:
    """Every picture that there are data for, by its name."""
    figures = figures_of(result, tables)
    figures |= {} if result.profile is None else figures_of_profile(result.profile)
    drawn = [save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]
    return {path.stem: path for path in [*drawn, *fronts.draw(folder, sections.OBJECTIVES_PICTURE)]}
