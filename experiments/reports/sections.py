"""The parts of a report for engineers: plan, promises, search, cost, and how to repeat it. Details are folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlprune.experiments.fronting.fronts import Fronts
from rlprune.experiments.fronting.objectives import OBJECTIVES
from rlprune.experiments.presenting.document import Block, Code, Folded, Picture, Section, Table, Terms, Words
from rlprune.experiments.reports import pictures as run_pictures
from rlprune.experiments.reports import profile_pictures
from rlprune.experiments.reports.outcome import short
from rlprune.experiments.runs.columns import score_text
from rlprune.experiments.runs.result import Result, TotalCost
from rlprune.experiments.runs.row import UNSEARCHED, StatedPoint
from rlprune.experiments.runs.verdict import equals_of_best, ranked, reason

OBJECTIVES_PICTURE = "front-of-objectives"
OF_OBJECTIVES = {
    OBJECTIVES_PICTURE: "Every plan of the run; those that no other one beats in any objective are large, their colour "
    "tells something further.",
    "objectives": "The plans of the front, a line each: what they have of every objective.",
}
CAPTIONS = {**run_pictures.CAPTIONS, **OF_OBJECTIVES, **profile_pictures.CAPTIONS}
GLOSSARY = (
    ("plan", "what is kept: channels of each group of layers, or entries and bits of weights, and blocks"),
    ("group", "layers that can only lose the same channels together"),
    ("keep ratio", "the share of its channels that a group keeps"),
    ("uniform", "the largest share that all layers can keep alike within the budget, rounded down to allowed widths"),
    ("filled", "the same filled up layer by layer until nothing more fits: shares are then not quite equal"),
    ("probe", "the plan that loses least by what each choice was measured to lose alone; nothing is searched"),
    ("policy", "what the learned policy decides by itself: one walk over the groups, no search"),
    ("surrogate", "the model that expects what a plan would lose, from the probes and the plans that were evaluated"),
    ("divergence", "how far the answers are from the dense network's on the same samples; 0 is no difference"),
    ("reward", "what the search maximises within the budget; 0 is the filled plan, unless another reward was set"),
    ("evaluation", "one new plan scored on the validation samples of the search; one that comes again costs none"),
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
Pictures = Mapping[str, Path]


def _shown(pictures: Pictures, *names: str) -> list[Block]:
    """Those pictures that were drawn, with their captions."""
    return [Picture(pictures[name], CAPTIONS[name]) for name in names if name in pictures]


def _folded(summary: str, blocks: Sequence[Block]) -> list[Block]:
    """Blocks under a summary, where there are any."""
    return [Folded(summary, blocks)] if blocks else []


def range_front(result: Result, pictures: Pictures) -> list[Section]:
    """The front of a range: a line a budget, a column a method; what nobody beats is bold."""
    found, agent = result.front, result.agent
    if found is None:
        return []
    points = {(point.budget, point.method): point for point in found.points}
    names = list(dict.fromkeys(method for _, method in points))
    cells = [
        [
            budget,
            *(_score_cell(points.get((budget, name)), result.metric, found.best) for name in names),
            _number(points[budget, agent].latency_ms),
            _number(points[budget, agent].energy_mj),
        ]
        for budget in dict.fromkeys(budget for budget, _ in points)
    ]
    table = Table(["budget", *names, f"latency of {agent}, ms", "energy, mJ"], cells)
    words = (
        f"Validation {result.metric} at every budget; bold: no other plan is as good for less. policy is the learned "
        f"policy by itself: one walk, no search. Plans: `plans/{agent}-*.json`, `plans/policy-*.json`."
    )
    return [Section("The front", [*_shown(pictures, run_pictures.FRONT), table, Words(words)])]


def _score_cell(point: StatedPoint | None, metric: str, best: Sequence[str]) -> str:
    if point is None:
        return "-"
    text = score_text(point.score_validation, metric)
    return f"**{text}**" if point.name in best else text


def _number(value: float | None) -> str:
    return "-" if value is None else short(value)


def plan(result: Result, pictures: Pictures) -> Section:
    """What each group keeps."""
    mixed = any(choice.kind is not None for choice in result.groups)
    title = "Levels of every choice" if mixed else "Channels of every group"
    tried = _folded("Every plan that was tried", _shown(pictures, run_pictures.TRIED))
    return Section("The plan", [*_shown(pictures, run_pictures.PLAN), Folded(title, [plan_table(result)]), *tried])


def plan_table(result: Result) -> Table:
    """What each choice has in every row: channels, percent, bits, or whether a block stays."""
    head = "group" if all(choice.kind is None for choice in result.groups) else "choice"
    cells = [
        [f"`{choice.name}`", *(str(row.widths[place]) for row in result.rows)]
        for place, choice in enumerate(result.groups)
    ]
    return Table([head, *(row.name for row in result.rows)], cells)


def promises(result: Result, pictures: Pictures) -> list[Section]:
    """Promised against measured, and how good the profile is."""
    blocks = _shown(pictures, run_pictures.PROMISES)
    if blocks and not any(row.latency_measured_ms is not None for row in result.rows):
        blocks.append(Words("Nothing was measured at the end: the device of the profile is not this machine."))
    blocks += _folded("The profile in pictures", _shown(pictures, *profile_pictures.CAPTIONS))
    return [Section("Promised and measured", blocks)] if blocks else []


def search(pictures: Pictures, fronts: Fronts) -> Section:
    """How the methods got there."""
    curve = _shown(pictures, run_pictures.LEARNING_CURVE)
    evaluated = _folded("Every plan that was evaluated", _shown(pictures, run_pictures.COSTS))
    return Section("The search", [*curve, *evaluated, _objectives(fronts, pictures)])


def _objectives(fronts: Fronts, pictures: Pictures) -> Folded:
    """What the run found between its objectives; the tables of it are those of ``rlprune front``."""
    names = [OBJECTIVES[name].title(fronts.metric) for name in fronts.objectives]
    front, chosen = fronts.fronts[0], fronts.chosen
    knee = f"The knee of the measured front: {front.plans[front.knee.row].label}"
    kept = f"`plan.json`, called chosen here, is of {chosen.plan.method}{_why(fronts)}"
    words = (
        f"{f'{knee}, which is `plan.json`' if front.knee.row == chosen.row else f'{knee}. {kept}'}. `rlprune front` "
        "shows the tables, and chooses another: within limits, by preferences, or among several runs."
    )
    title = f"Between {', '.join(names[:-1])} and {names[-1]}"
    return Folded(title, [*_shown(pictures, *OF_OBJECTIVES), Words(words)])


def _why(fronts: Fronts) -> str:
    """Why the kept plan is not the knee, where it is for the divergence, which is no objective here."""
    plan = fronts.chosen.plan
    rows, of_range = plan.run.result.rows, plan.run.result.front is not None  # preferences chose its budget
    by_divergence = ranked(rows)[0].widths == plan.choices and equals_of_best(rows)
    return reason(rows, fronts.metric) if by_divergence and not of_range else ""


def cost(result: Result) -> Section:
    """Evaluations and time of each method, and the time of every phase."""
    phases = [[name, f"{seconds:.1f}"] for name, seconds in result.seconds.items()]
    folded = Folded("Seconds of every phase", [Table(["phase", "seconds"], phases)])
    return Section("What it cost", [Words(_cost_words(result)), search_table(result), folded])


def _cost_words(result: Result) -> str:
    evaluations = sum(search.evaluations for search in result.searches.values())
    once = result.cost is None or result.cost.sessions == 1
    phases = "all phases" if once else "all phases of the last session"
    words = f"{evaluations} evaluations; {phases} together {sum(result.seconds.values()):.0f} seconds."
    return words if result.cost is None else f"{words} {_own_clock(result.cost)}"


def _own_clock(cost: TotalCost) -> str:
    """What the run folder noted, over all sessions."""
    measured = cost.energy_j is not None
    energy = f"Energy: {cost.energy_j:.0f} J, {cost.energy_source}" if measured else "Energy was not measured"
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
    """The command, the commands that go on with the run, and folded what it was run with."""
    more = {name: value for name, value in versions.items() if name not in VERSIONS and value is not None}
    return Section(
        "How to repeat it",
        [
            Code(command),
            Words(
                "To go on with the run, in the folder in which this report was made (`rlprune report` makes it again "
                "where the run was moved to):"
            ),
            Code("\n".join(commands)),
            Words(
                "Settings: `config.yaml`. Every episode: `episodes-*.csv`. Plans: `plan.json`, `plans/`. All figures: "
                "`result.json`."
            ),
            Folded("Seed, device, data and machine", [_mapping(_facts(result) | _machine(versions))]),
            *_folded("Other versions", [_mapping(more)] if more else []),
            Folded("What the words mean", [Terms(GLOSSARY)]),
        ],
    )


def _machine(versions: Mapping[str, Any]) -> dict[str, object]:
    known = {name: versions[name] for name in VERSIONS if versions.get(name) is not None}
    memory = known.pop("memory_bytes", None)
    return known | ({} if memory is None else {"memory": f"{memory / 1e9:.1f} GB"})


def _mapping(values: Mapping[str, object]) -> Table:
    return Table(["", ""], [[name.replace("_", " "), str(value)] for name, value in values.items()], numbers=False)


def _facts(result: Result) -> dict[str, object]:
    unsearched = [row.name for row in result.rows if row.role in UNSEARCHED]
    facts: dict[str, object] = {
        "seed": result.seed,
        "reward": result.reward,
        "validation samples of one evaluation": result.samples,
        **{f"reward of {name}": f"{result.marks[name].reward:.4f}" for name in unsearched},
        **{LABELS.get(name, name): value for name, value in (result.device or {}).items()},
    }
    if result.fingerprint is not None:
        facts["fingerprint of the network"] = result.fingerprint
    return facts | {f"sha256 of the {split} data": digest for split, digest in (result.data or {}).items()}
