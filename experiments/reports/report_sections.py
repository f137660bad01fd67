"""The parts of a report for engineers: methods, plan, curves, promises, cost, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlprune.experiments.presenting.document import Block, Code, Folded, Picture, Section, Table, Terms, Words
from rlprune.experiments.reports import profile_pictures, report_objectives
from rlprune.experiments.reports.pictures import unsearched
from rlprune.experiments.reports.report_outcome import rows_of, short
from rlprune.experiments.runs.columns import columns, score_text
from rlprune.experiments.runs.result import Result, Row, StatedPoint, TotalCost
from rlprune.experiments.runs.verdict import COLLAPSE

CAPTIONS = {
    "learning-curve": "The best reward so far against plans evaluated; dots are single plans, the lines uniform plans, "
    "plain and filled.",
    "keep-ratios": "What each layer, or group of layers, keeps; the numbers at the bars are channels, percent or bits.",
    "tried-plans": "What every plan that was tried keeps of each group, in the order of the search.",
    "front": "The best plan of each method at every budget of the range, and the policy's own, made without search.",
    "accuracy-against-cost": "Every plan that was evaluated in the search; the dashed vertical line is the budget.",
    "promised-and-measured": "What the profile promised for each network, and what was measured of it at the end.",
    **report_objectives.CAPTIONS,
    **profile_pictures.CAPTIONS,
}
GLOSSARY = (
    ("plan", "what is kept: channels of each group of layers, or entries and bits of weights, and blocks"),
    ("group", "layers that can only lose the same channels together"),
    ("keep ratio", "the share of its channels that a group keeps"),
    ("uniform", "the largest share that all layers can keep alike within the budget, rounded down to allowed widths"),
    ("filled", "the same filled up layer by layer until nothing more fits: shares are then not quite equal"),
    ("divergence", "how far the answers are from the dense network's on the same samples; 0 is no difference"),
    ("reward", "what the search maximises within the budget; 0 is the filled plan, unless another reward was set"),
    ("evaluation", "one new plan scored on the validation samples of the search; one that comes again costs none"),
    ("hypervolume", "how much of the space between the objectives plans dominate, up to a reference point"),
    ("knee", "the plan at which a front bends most: less of one thing begins to cost much of another"),
    ("promised", "predicted by the device profile, which rests on measurements of other plans"),
    ("measured", "timed on the device at the end, for exactly this network"),
    ("p99", "99 of 100 inferences are at least as fast"),
    ("MACs", "multiply-adds of one sample"),
    ("energy", "of one inference; power times latency where no meter was read"),
)
LABELS = {"version": "version of the runtime", "warmup": "first calls that are not timed", "energy": "energy from"}
"""What facts of a device are called here."""
VERSIONS = ("rlprune", "commit", "python", "torch", "onnxruntime", "operating_system", "cpu", "cores", "memory_bytes")


def picture(pictures: Mapping[str, Path], stem: str) -> list[Block]:
    """A picture with its caption, where it was drawn."""
    return [Picture(pictures[stem], CAPTIONS[stem])] if stem in pictures else []


def methods(result: Result) -> Section:
    """All networks in one table, and the verdict."""
    rows = rows_of(result)
    verdict = result.verdict.split(COLLAPSE)[0]
    return Section("All methods", [rows_table(result.metric, rows, result.winner), Words(verdict)])


def rows_table(metric: str, rows: Sequence[Row], best: str | None = None) -> Table:
    """The table of networks; the best stands out."""
    shown = columns(metric, rows)
    cells = [[column.cell(row) for column in shown] for row in rows]
    bold = next((index for index, row in enumerate(rows) if row.name == best), None)
    return Table([column.title for column in shown], cells, bold)


def front(result: Result, pictures: Mapping[str, Path]) -> list[Section]:
    """The front of a range: a line a budget, a column a method; what nobody beats is bold."""
    found = result.front
    if found is None:
        return []
    agent = result.agent
    points = {(point.budget, point.method): point for point in found.points}
    names = list(dict.fromkeys(method for _, method in points))
    lines = [
        _front_line(budget, names, points, agent, found.best)
        for budget in dict.fromkeys(budget for budget, _ in points)
    ]
    heads = ["budget", *names, f"latency of {agent}, ms", "energy, mJ"]
    words = (
        f"Validation {result.metric} at every budget; bold: no other plan is as good for less. policy is the "
        "learned policy by itself: one walk, no search. "
        f"Plans: `plans/{agent}-*.json`, `plans/policy-*.json`."
    )
    return [Section("The front", [*picture(pictures, "front"), Table(heads, lines), Words(words)])]


def _front_line(
    budget: str, names: list[str], points: Mapping[tuple[str, str], StatedPoint], agent: str, best: Sequence[str]
) -> list[str]:
    own = points[budget, agent]
    latency = own.latency_measured_ms or own.latency_promised_ms
    scores = [_score_cell(points.get((budget, name)), best) for name in names]
    return [budget, *scores, _shown(latency), _shown(own.energy_mj)]


def _score_cell(point: StatedPoint | None, best: Sequence[str]) -> str:
    if point is None:
        return "-"
    text = score_text(point.score_validation)
    return f"**{text}**" if point.name in best else text


def _shown(value: float | None) -> str:
    return "-" if value is None else short(value)


def plan(result: Result, pictures: Mapping[str, Path]) -> Section:
    """What each group keeps."""
    table = plan_table(result, rows_of(result))
    title = "Levels of every choice" if _mixed(result) else "Channels of every group"
    return Section("The plan", [*picture(pictures, "keep-ratios"), Folded(title, [table])])


def _mixed(result: Result) -> bool:
    """Whether more than channels was decided."""
    return any(choice.kind is not None for choice in result.groups)


def plan_table(result: Result, rows: Sequence[Row]) -> Table:
    """What each choice has in every row: channels, percent, bits, or whether a block stays."""
    names = [group.name for group in result.groups]
    cells = [[f"`{name}`", *(str(row.widths[index]) for row in rows)] for index, name in enumerate(names)]
    return Table(["choice" if _mixed(result) else "group", *(row.name for row in rows)], cells)


def search(pictures: Mapping[str, Path]) -> Section:
    """How the methods got there."""
    shown = ("learning-curve", "accuracy-against-cost", "tried-plans")
    return Section("The search", [block for stem in shown for block in picture(pictures, stem)])


def promises(result: Result, pictures: Mapping[str, Path]) -> list[Section]:
    """Promised against measured, and how good the profile is."""
    blocks = picture(pictures, "promised-and-measured")
    if blocks and not any(row.latency_measured_ms is not None for row in rows_of(result)):
        blocks.append(Words("Nothing was measured at the end: the device of the profile is not this machine."))
    drawn = [block for stem in profile_pictures.CAPTIONS for block in picture(pictures, stem)]
    blocks += [Folded("The profile in pictures", drawn)] if drawn else []
    return [Section("Promised and measured", blocks)] if blocks else []


def cost(result: Result) -> Section:
    """Evaluations and time of each method, and the time of every phase."""
    phases = [[name, f"{seconds:.1f}"] for name, seconds in result.seconds.items()]
    blocks: list[Block] = [Words(_cost_words(result)), search_table(result)]
    return Section("What it cost", [*blocks, Folded("Seconds of every phase", [Table(["phase", "seconds"], phases)])])


def _cost_words(result: Result) -> str:
    cost = result.cost
    evaluations = sum(item.evaluations for item in result.searches.values())
    phases = "all phases" if cost is None or cost.sessions == 1 else "all phases of the last session"
    words = f"{evaluations} evaluations; {phases} together {sum(result.seconds.values()):.0f} seconds."
    return f"{words} {_own_clock(cost)}" if cost is not None else words


def _own_clock(cost: TotalCost) -> str:
    """What the run folder noted, over all sessions."""
    energy = "Energy was not measured"
    if cost.energy_j is not None:
        energy = f"Energy: {cost.energy_j:.0f} J, {cost.energy_source}"
    words = (
        f"From loading to here: {cost.wall_seconds:.0f} seconds of wall time, "
        f"{cost.cpu_seconds:.0f} of processor time. {energy}."
    )
    resumed = f" It was interrupted and went on: {cost.sessions} sessions, all of them counted."
    return words + (resumed if cost.sessions > 1 else "")


def search_table(result: Result) -> Table:
    """Episodes, evaluations and time of each method."""
    heads = ["method", "episodes", "evaluations", "known already", "best reward", "seconds", "of them inference"]
    cells = [
        [
            name,
            *map(str, (item.episodes, item.evaluations, item.cache_hits)),
            f"{item.best_reward:.4f}",
            *(f"{seconds:.1f}" for seconds in (item.seconds, item.inference_seconds)),
        ]
        for name, item in result.searches.items()
    ]
    return Table(heads, cells)


def repeat(result: Result, command: str, versions: Mapping[str, Any], commands: Sequence[str]) -> Section:
    """The command, what it was run with, and the commands that go on with the run."""
    more = {name: value for name, value in versions.items() if name not in VERSIONS and value is not None}
    return Section(
        "How to repeat it",
        [
            Code(command),
            _mapping(_facts(result) | _machine(versions)),
            Words(
                "To go on with the run, in the folder in which this report was made (`rlprune report` makes it again "
                "where the run was moved to):"
            ),
            Code("\n".join(commands)),
            Words(
                "Settings: `config.yaml`. Every episode: `episodes-*.csv`. Plans: `plan.json`, `plans/`. All figures: "
                "`result.json`."
            ),
            *([Folded("Other versions", [_mapping(more)])] if more else []),
        ],
    )


def _machine(versions: Mapping[str, Any]) -> dict[str, object]:
    known = {name: versions[name] for name in VERSIONS if versions.get(name) is not None}
    memory = known.pop("memory_bytes", None)
    return known | ({} if memory is None else {"memory": f"{memory / 1e9:.1f} GB"})


def _mapping(values: Mapping[str, object]) -> Table:
    return Table(["", ""], [[name.replace("_", " "), str(value)] for name, value in values.items()], numbers=False)


def _facts(result: Result) -> dict[str, object]:
    facts: dict[str, object] = {
        "seed": result.seed,
        "reward": result.reward,
        "validation samples of one evaluation": result.samples,
        **{f"reward of {row.name}": f"{result.marks[row.name].reward:.4f}" for row in unsearched(result)},
        **{LABELS.get(name, name): value for name, value in (result.device or {}).items()},
    }
    if result.fingerprint is not None:
        facts["fingerprint of the network"] = result.fingerprint
    digests = result.data or {}
    return facts | {f"sha256 of the {split} data": digest for split, digest in digests.items()}


def glossary() -> Section:
    """What the words mean."""
    return Section("What the words mean", [Terms(GLOSSARY)])
