"""The report of a run: one HTML page and one Markdown file, of what its files hold and nothing else."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import markdown
import pytest

from rlprune.experiments.fronting.joining import Wishes, fronts_of
from rlprune.experiments.presenting.document import (
    Code,
    Document,
    Section,
    Table,
    Words,
    markdown_table,
    spans,
    to_markdown,
)
from rlprune.experiments.presenting.page import to_html
from rlprune.experiments.reports import outcome, sections
from rlprune.experiments.reports.pictures import COSTS, FRONT, PROMISES, figures_of
from rlprune.experiments.reports.report import write_report
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.finished import FinishedRun
from rlprune.experiments.runs.result import Result, result_of_values
from rlprune.experiments.runs.run_folder import NETWORKS, RunFolder
from rlprune.experiments.settings.verb_configs import TrainConfig

VOID = {"meta", "img", "br", "link", "input", "hr"}
EVIL = "<script>alert(1)</script>|`*_$x$&amp;"

OWN = "--network tiny_networks:network --task tiny_networks:task"


class Page(HTMLParser):
    """What a page holds: its tags, its links, its text without style, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


@pytest.fixture
def result(trained: Any) -> dict[str, Any]:
    """A copy of the result, to be changed at will."""
    value: dict[str, Any] = json.loads((trained.path / "result.json").read_text())
    return value


@pytest.fixture
def report(call: Any, trained: Any, tmp_path: Path) -> Callable[[dict[str, Any]], tuple[Page, str]]:
    """Reports a run that holds another result, and returns the page and the Markdown."""

    def made(changed: dict[str, Any]) -> tuple[Page, str]:
        run = tmp_path / "changed"
        shutil.copytree(trained.path, run)
        (run / "result.json").write_text(json.dumps(changed))
        called = call("report", run)
        assert called.code == 0, called.err
        return Page((run / "report.html").read_text()), (run / "report.md").read_text()

    return made


def test_the_page_needs_nothing_but_itself(trained: Any) -> None:
    text = (trained.path / "report.html").read_text()
    page = Page(text)
    pictures = [link for link in page.links if not link.startswith("#")]
    assert len(pictures) == len(list((trained.path / "pictures").iterdir()))
    assert all(link.startswith("data:image/png;base64,") for link in pictures)
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"https?:|url\(|@import", re.sub(r"data:image/png;base64,[\w+/=]+", "", text))


def test_both_tell_what_was_asked_what_came_out_and_how_to_repeat_it(trained: Any, result: dict[str, Any]) -> None:
    page = Page((trained.path / "report.html").read_text()).text
    text = (trained.path / "report.md").read_text()
    best = next(row for row in result["rows"] if row["name"] == result["winner"])
    dense = result["rows"][0]
    for part in (
        f"{best['score_test']:.2%}",
        f"{dense['latency_promised_ms'] / best['latency_promised_ms']:.2f}×",
        "at most 50% of its latency",
        f"on {result['images']['test']} test samples",
        result["device"]["profile error"],
        f"{result['searches']['ddpg']['best_reward']:.4f}",
        result["fingerprint"],
        result["data"]["test"],
        f"rlprune validate run {OWN}",
        f"rlprune apply run/plan.json {OWN} --out run-pruned",
        f"rlprune replay run {OWN} --budget latency=0.5",
        *(str(width) for width in best["widths"]),
        *(name for name in result["searches"]),
    ):
        assert part in page, part
        assert part in text, part
    assert (trained.path / "command.txt").read_text().strip() in page


def test_headings_stand_in_the_same_order_in_both(trained: Any) -> None:
    heads = [
        *("Against uniform", "The plan", "Promised and measured", "The search"),
        *("What it cost", "How to repeat it"),
    ]
    assert re.findall(r"<h2>(.*?)</h2>", (trained.path / "report.html").read_text()) == heads
    assert re.findall(r"^## (.*)$", (trained.path / "report.md").read_text(), re.M) == heads


def test_what_files_say_is_text_and_never_markup(
    result: dict[str, Any], report: Callable[[dict[str, Any]], tuple[Page, str]]
) -> None:
    result |= {"network": EVIL, "task": EVIL, "energy_source": EVIL, "verdict": EVIL, "notes": [EVIL], "metric": EVIL}
    result["device"] |= {"device": EVIL, "runtime": EVIL, EVIL: EVIL}
    result["seconds"][EVIL] = 1.0
    for group in result["groups"]:
        group["name"] = EVIL
    page, text = report(result)
    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script>|`*_$x$&amp;") > 10
    rendered = markdown.markdown(text, extensions=["tables", "fenced_code"], output_format="html")
    assert "<script" not in rendered
    read = Page(rendered)
    assert "<script>alert(1)</script>|`*_$x$&amp;" in read.text
    assert rendered.count("<table>") == len(re.findall(r"^\| --", text, re.M))


def test_runs_from_before_the_newer_facts_are_reported(
    result: dict[str, Any], report: Callable[[dict[str, Any]], tuple[Page, str]]
) -> None:
    for name in ("fingerprint", "data", "cost", "images"):
        del result[name]
    page, text = report(result)
    assert "sha256" not in text
    assert "validation samples during the search" in page.text


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result.pop("winner"),
        lambda result: result.pop("rows"),
        lambda result: result.update(winner="nobody"),
        lambda result: result.update(budgets=["speed=3"]),
        lambda result: result.update(budgets=7),
        lambda result: result.update(notes=3),
        lambda result: result.update(verdict=[1]),
        lambda result: result.update(seconds=[1.0]),
        lambda result: result.update(searches={"nobody": {}}),
        lambda result: result.update(cost={"sessions": 1, "wall_seconds": 2.0}),
        lambda result: result.update(images={"test": 0, "validation": 0}),
        lambda result: result["rows"][0].update(size_bytes=0),
        lambda result: result["rows"][0].update(macs="many"),
    ],
)
def test_a_malformed_result_is_one_line_and_the_old_report_stays(
    call: Any, trained: Any, result: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    run = tmp_path / "malformed"
    shutil.copytree(trained.path, run)
    before = (run / "report.html").read_bytes()
    change(result)
    (run / "result.json").write_text(json.dumps(result))
    called = call("report", run)
    assert (called.code, len(called.errors)) == (2, 1), called.err
    assert "Traceback" not in called.err
    assert (run / "report.html").read_bytes() == before


Tables = Mapping[str, EpisodeTable]


@pytest.fixture
def tables(trained: Any) -> Tables:
    run = RunFolder(trained.path)
    return run.episode_tables(run.result().searches)


def typed(result: dict[str, Any]) -> Result:
    return result_of_values(result, "result.json")


def measured(result: dict[str, Any], factor: float, drift: float = 1.0) -> dict[str, Any]:
    """The result as if everything had taken ``factor * drift`` times the promise, the dense network ``drift`` times."""
    changed = copy.deepcopy(result)
    for row in changed["rows"]:
        own = 1.0 if row["role"] == "dense" else factor
        row["latency_measured_ms"] = row["latency_promised_ms"] * own * drift
        row["latency_corrected_ms"] = row["latency_promised_ms"] * own
    return changed


def certainty(result: dict[str, Any]) -> str:
    return to_markdown(Document("", [], [Section("", [outcome.certainty(typed(result))])]))


@pytest.mark.parametrize(
    ("budget", "factor", "drift", "told"),
    [
        ("latency=0.5", 1.25, 1.0, "of the dense network's latency, timed beside it, {0} over the budget of 0.5."),
        ("latency=0.5", 1.25, 1.4, "of the dense network's latency, timed beside it, {0} over the budget of 0.5."),
        ("latency=0.5", 0.75, 0.7, "of the dense network's latency, timed beside it, {0} below the budget of 0.5."),
        ("latency={ms}ms", 1.0, 1.25, "ms (latency), 25.0% over the budget of {ms} ms."),
        ("latency={ms}ms", 1.25, 0.6, "ms (latency), 25.0% below the budget of {ms} ms."),
    ],
)
def test_a_budget_and_what_was_measured_are_one_number(
    result: dict[str, Any], budget: str, factor: float, drift: float, told: str
) -> None:
    """Of a fraction the share of the dense network's, of milliseconds these, whatever the machine's drift."""
    best, dense = outcome.winner_of(typed(result)), outcome.dense_of(typed(result))
    promised, whole = best.latency_promised_ms, dense.latency_promised_ms
    assert promised is not None
    assert whole is not None
    ms = f"{promised:.4g}"
    result["budgets"], result["limits"] = [budget.format(ms=ms)], {"latency_ms": float(ms)}
    used = factor * promised / whole / 0.5 - 1
    changed = measured(result, factor, drift)
    noted = outcome.over_budget(typed(changed))
    assert len(noted) == (" over " in told)
    for notes in ([], noted):
        changed["notes"] = notes
        held = [line for line in certainty(changed).splitlines() if "Measured at the end" in line]
        assert len(held) == 1
        assert told.format(f"{abs(used):.1%}", ms=ms) in held[0]


def test_a_missed_budget_is_among_the_notes_of_a_run(result: dict[str, Any]) -> None:
    noted = [text for text in result["notes"] if text.startswith("Measured at the end")]
    assert noted == outcome.over_budget(typed(result))


def test_a_lead_is_held_against_chance(result: dict[str, Any]) -> None:
    result["images"] = {"calibration": 9, "validation": 1000, "test": 400}
    result["noise"] = {"draws": 1000, "seed": 0, "level": 0.95}
    scores = {"uniform": 0.3, "filled": 0.4, "random": 0.5, "ddpg": 0.8}
    result["rows"] = [row for row in result["rows"] if row["name"] in ("dense", *scores)]
    for place, row in enumerate(result["rows"][1:]):
        row["score_validation"], row["score_test"] = scores[row["name"]], 0.8
        row["widths"] = [2 + place] * len(row["widths"])  # four plans
        row["behind_low"], row["behind_high"] = 0.25, 0.35
    result["winner"] = "ddpg"
    text = certainty(result)
    assert "of ddpg, is +30.00 points ahead of that of random, more than chance explains." in text
    assert (
        "(95% of 1000 sets of validation samples drawn again, the same for both: +25.00 points to +35.00 points.)"
        in text
    )
    beside = to_markdown(Document("", [], [outcome.against_uniform(typed(result), [])]))
    assert "keeps 80.00% accuracy on the test samples and **uniform** 80.00% (± 2.00%, one standard error)" in beside
    result["rows"][3]["behind_low"] = -0.01
    assert "ahead of that of random, which may be chance: divergence decided." in certainty(result)
    result["rows"][3]["score_validation"] = 0.8
    assert "have the same validation accuracy; divergence decided." in certainty(result)


@pytest.mark.parametrize(
    ("widths", "low", "told"),
    [
        ((2, 3, 4, 5), 0.1, "of ddpg, is +50.00 points ahead of that of uniform, more than chance explains."),
        ((2, 3, 4, 5), -0.1, "ahead of that of uniform, which may be chance: divergence decided. (95% of"),
        ((2, 2, 2, 2), 0.1, "The kept plan is the uniform one"),
    ],
)
def test_what_came_out_stands_beside_uniform(
    result: dict[str, Any], widths: tuple[int, ...], low: float, told: str
) -> None:
    scores = {"uniform": 0.3, "filled": 0.4, "random": 0.4, "ddpg": 0.8}
    result["rows"] = [row for row in result["rows"] if row["name"] in ("dense", *scores)]
    for row, width in zip(result["rows"][1:], widths, strict=True):
        row |= {"score_validation": scores[row["name"]], "widths": [width] * 4, "behind_low": low, "behind_high": 0.6}
    result["winner"] = "ddpg"
    text = to_markdown(Document("", [], [outcome.against_uniform(typed(result), [])]))
    assert told in text


def test_a_measured_p99_says_how_little_it_rests_on(result: dict[str, Any]) -> None:
    for p99 in (None, 0.5):
        result["rows"][-1]["latency_p99_measured_ms"] = p99
        text = to_markdown(Document("", [], [outcome.against_uniform(typed(result), [])]))
        assert ("of 300 timings are three" in text) == (p99 is not None)


def test_what_is_no_share_is_no_percentage(result: dict[str, Any]) -> None:
    result["metric"], result["verdict"] = "r2", ""
    table = outcome.rows_table(typed(result))
    assert not any("%" in cell for line in table.cells for cell in line)


def test_a_collapse_stands_in_the_opening(
    result: dict[str, Any], report: Callable[[dict[str, Any]], tuple[Page, str]]
) -> None:
    result["verdict"] = "random wins. **Collapse:** ddpg found nothing."
    page, text = report(result)
    assert "> **Collapse:** ddpg found nothing." in text.partition("## ")[0]
    assert page.text.count("Collapse:") == 1


def test_budgets_in_words(result: dict[str, Any]) -> None:
    result["limits"] = {"latency_ms": 8.0, "macs": 2e7, "latency_p99_ms": 0.5}
    assert outcome.budget_words("latency=8ms", typed(result)) == "at most 8 ms (latency)"
    assert outcome.budget_words("macs=20M", typed(result)) == "at most 20.0 M (multiply-adds (MACs))"
    assert "25% of its latency in 99 of 100" in outcome.budget_words("latency_p99=0.25", typed(result))


@pytest.mark.parametrize(
    ("winner", "alike", "words"),
    [
        ("ddpg", (), "**Found by** **ddpg**; chosen"),
        ("random", (), "**Found by** **random**, not by ddpg; chosen"),
        ("filled", (), "**Found by** **filled**, without any search: ddpg found nothing better; chosen"),
        ("uniform", ("filled",), "**uniform** and **filled**, without any search: ddpg found nothing better; chosen"),
        ("filled", ("ddpg",), "**Found by** **filled** and **ddpg**: the same plan; chosen"),
        ("random", ("ddpg",), "**Found by** **random** and **ddpg**: the same plan; chosen"),
    ],
)
def test_who_found_the_plan(result: dict[str, Any], winner: str, alike: tuple[str, ...], words: str) -> None:
    result["winner"] = winner
    for place, row in enumerate(result["rows"]):
        row["widths"] = [2 if row["name"] in (winner, *alike) else 3 + place] * len(row["widths"])
    assert words in to_markdown(Document("", outcome.opening(typed(result)), []))


def test_one_plan_is_chosen_everywhere(
    result: dict[str, Any], report: Callable[[dict[str, Any]], tuple[Page, str]], trained: Any
) -> None:
    kept = outcome.winner_of(typed(result))
    chosen = json.loads((trained.path / "front.json").read_text())["chosen"]
    assert (chosen["method"], chosen["how"]) == (kept.name, "plan.json")
    assert re.search(rf"which is `plan.json`|`plan.json`, called chosen here, is of {kept.name}\b", report(result)[1])


@pytest.mark.parametrize(
    ("behind", "knee", "of_range", "told"),
    [
        (
            -0.01,
            "uniform",
            False,
            "is of random: its validation accuracy differs from that of ddpg by no more than the",
        ),
        (0.01, "uniform", False, "is of ddpg. `rlprune front`"),
        (-0.01, "uniform", True, "is of random. `rlprune front`"),
        (0.01, "ddpg", False, "ddpg, final plan, which is `plan.json`. `rlprune front`"),
    ],
)
def test_why_the_kept_plan_is_not_the_knee(
    result: dict[str, Any], behind: float, knee: str, of_range: bool, told: str
) -> None:
    scores = {"uniform": 0.60, "filled": 0.5, "random": 0.70, "ddpg": 0.72}
    result["rows"] = [row for row in result["rows"] if row["name"] in ("dense", *scores)]
    bounds = {"uniform": (0.1, 0.2), "filled": (0.1, 0.2), "random": (behind, 0.05), "ddpg": (0.0, 0.0)}
    for place, row in enumerate(result["rows"][1:]):
        name = row["name"]
        row |= {"score_validation": scores[name], "divergence": 0.1 + 0.01 * (name == "ddpg")}
        row |= {"behind_low": bounds[name][0], "behind_high": bounds[name][1], "widths": [2 + place] * 4}
        row["latency_promised_ms"] = row["energy_mj"] = 0.01 if name == knee else 0.5
    result["winner"] = "random" if behind < 0 else "ddpg"
    if of_range:
        result["front"] = {"points": [], "best": [], "range": "latency=0.3..0.8", "cost": "latency_ms"}
    fronts = fronts_of([FinishedRun("run", TrainConfig(), typed(result), {})], Wishes(kept=True))
    assert told in to_markdown(Document("", [], [sections.search({}, fronts)]))


def test_the_dense_line_of_a_range_is_of_the_samples_of_its_plans(tables: Tables, result: dict[str, Any]) -> None:
    point = {**result["rows"][-1], "method": "ddpg", "budget": "latency=0.3", "budget_cost": 0.5}
    result["front"] = {"cost": "latency_ms", "points": [point], "range": "latency=0.3..0.8", "best": []}
    result["rows"][0]["score_validation"], result["marks"]["dense"]["score"] = 0.9, 0.8
    ranged = typed(result)
    assert ranged.front is not None
    (axes,) = figures_of(ranged, tables)[FRONT].axes
    (line,) = [line for line in axes.lines if line.get_label() == "dense"]
    assert set(line.get_ydata()) == {0.9}


@pytest.mark.parametrize("old", [False, True])
def test_results_of_older_versions_read_with_today_s_roles(trained: Any, tmp_path: Path, old: bool) -> None:
    result = json.loads((trained.path / "result.json").read_text())
    if old:  # the filled plan was called uniform, the agent's row learned, and no noise was known
        later = ("uniform", "probe", "policy")
        result["rows"] = [row for row in result["rows"] if row["name"] not in later]
        for row in result["rows"]:
            row["role"] = {"filled": "uniform", "agent": "learned"}.get(row["role"], row["role"])
            row["name"] = "uniform" if row["name"] == "filled" else row["name"]
            for name in ("evaluations", "behind_low", "behind_high"):
                del row[name]
        result["marks"]["uniform"] = result["marks"].pop("filled")
        result["winner"] = "ddpg"
        del result["noise"]
        result.pop("details")
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    (run / "result.json").write_text(json.dumps(result))
    write_report(RunFolder(run))
    roles = [row.role for row in RunFolder(run).result().rows]
    today = ["dense", "uniform", "filled", "probe", "baseline", "agent", "policy"]
    assert roles == (["dense", "filled", "baseline", "agent"] if old else today)


@pytest.mark.parametrize("files", [[], ["pruned.safetensors"], ["pruned.onnx", "pruned.safetensors"]])
def test_only_files_that_are_there_are_named(result: dict[str, Any], files: list[str]) -> None:
    text = to_markdown(Document("", outcome.opening(typed(result), files), []))
    assert "`plan.json` is this plan" in text
    assert [name for name in NETWORKS if name in text] == sorted(files, key=NETWORKS.index)


def test_a_score_that_is_no_accuracy_has_no_binomial_error(result: dict[str, Any]) -> None:
    for metric in ("accuracy", "r2"):
        result["metric"] = metric
        told = Document("", outcome.opening(typed(result)), [outcome.against_uniform(typed(result), [])])
        assert ("±" in to_markdown(told)) == (metric == "accuracy")


def test_cost_of_several_sessions_and_of_a_meter(result: dict[str, Any]) -> None:
    result["cost"] |= {"sessions": 3, "energy_j": 1234.4, "energy_source": "RAPL"}
    text = to_markdown(Document("", [], [sections.cost(typed(result))]))
    assert "Energy: 1234 J, RAPL" in text
    assert "3 sessions" in text
    assert "all phases of the last session together" in text


def test_promised_and_measured_bars_start_at_zero_and_are_as_long_as_they_say(
    tables: Tables, result: dict[str, Any]
) -> None:
    changed = measured(result, 1.2)
    (axes,) = figures_of(typed(changed), tables)[PROMISES].axes
    promised, bars = axes.containers[:2]
    assert [bar.get_width() for bar in promised] == [row["latency_promised_ms"] for row in changed["rows"]]
    assert [bar.get_width() for bar in bars] == [row["latency_measured_ms"] for row in changed["rows"]]
    assert axes.get_xlim()[0] == 0


def test_energy_is_drawn_only_where_a_meter_was_read(tables: Tables, result: dict[str, Any]) -> None:
    for metered, second, panels in ((False, "MACs", 1), (True, "energy", 2)):
        result["profile"]["energy_measured"] = metered
        drawn = figures_of(typed(result), tables)
        assert second in drawn[COSTS].axes[1].get_xlabel()
        assert len(drawn[PROMISES].axes) == panels


def test_spans_are_bold_code_and_plain() -> None:
    assert spans("a **b** `c*` d") == [
        ("", "a "),
        ("strong", "b"),
        ("", " "),
        ("code", "c*"),
        ("", " d"),
    ]
    assert spans("2 ** 3 `") == [("", "2 ** 3 `")]


def test_cells_keep_their_bars_and_the_best_line_is_bold() -> None:
    lines = markdown_table(Table(["a|b", "n"], [["`x|y`", "1"], ["z", "2"]], bold=1)).splitlines()
    assert lines == ["| a\\|b | n |", "| --- | ---: |", "| `x\\|y` | 1 |", "| **z** | **2** |"]


def test_code_cannot_end_its_own_fence() -> None:
    text = to_markdown(Document("t", [], [Section("s", [Code("a\n```\n<b>"), Words("after")])]))
    assert "````\na\n```\n<b>\n````" in text
    page = Page(to_html(Document("t", [], [Section("s", [Code("a\n```\n<b>")])])))
    assert "b" not in page.tags
