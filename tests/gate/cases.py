"""What is recorded: command lines, and which of their runs others read.

Of the whole matrix (networks x methods x budgets x decisions), the quickest network runs all but what 40 episodes do
not suffice for. On each of the others every method runs for one pair of budget and decisions, another on each network:
a run there takes minutes, most of them for scoring the finalists of each method, and 144 runs would take hours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

AGENTS = ("ddpg", "td3", "sac", "tqc", "ppo")
OTHERS = ("random", "evolutionary", "tpe", "nsga2", "greedy", "sensitivity", "threshold")
METHODS = (*AGENTS, *OTHERS)
ASK_FOR_MORE_EPISODES = ("greedy", "sensitivity")
"""Where all kinds are decided; greedy search on deep networks only."""
WITHOUT_BLOCKS = "fashion-vgg"
NETWORKS = ("digits-resnet", "fashion-resnet20", "fashion-vgg", "fashion-mobilenet")
CHANNELS = "channels"
ALL_KINDS = "channels,weights,depth,bits"
READY = ("--device", "ready:epyc-onnxruntime")
BUDGETS = {"macs": ("--budget", "macs=0.5", *READY), "latency": ("--budget", "latency=0.5", *READY)}
"""On a ready profile of another device nothing is measured, so that all of a run can be compared."""
SEARCH = ("--episodes", "40", "--seed", "0", "--finalists", "2", "--profile-samples", "5", "--profile-bound", "0.9")


@dataclass(frozen=True)
class Case:
    """One command line.

    Attributes:
        name: names the folder ``runs/NAME``, which the command may write.
        arguments: those after ``rlprune``.
        reads: names of the cases whose runs the command reads.
        copy_of: name of the case whose run is copied to ``runs/NAME`` before, as the command changes it.
        measured: latency is measured, and what follows from it differs each time.
        numbers: whether the numbers that are printed are compared; some are times.
    """

    name: str
    arguments: tuple[str, ...]
    reads: tuple[str, ...] = ()
    copy_of: str | None = None
    measured: bool = False
    numbers: bool = True

    @property
    def needs(self) -> tuple[str, ...]:
        """The cases that come before."""
        return self.reads if self.copy_of is None else (*self.reads, self.copy_of)


def _train(name: str, network: str, agent: str, *baselines: str, more: Sequence[str], measured: bool = False) -> Case:
    flags = ("--network", network, "--agent", agent, "--baselines", f"[{','.join(baselines)}]", *more, *SEARCH)
    return Case(name, ("train", *flags, "--out", f"runs/{name}"), measured=measured)


def _search(name: str, network: str, method: str, *more: str, measured: bool = False) -> Case:
    flags = ("--network", network, "--method", method, *more, *SEARCH)
    return Case(name, ("search", *flags, "--out", f"runs/{name}"), measured=measured)


def small_cases() -> list[Case]:
    """Each method, kind of budget, mix of decisions and verb once, on the quickest networks."""
    digits, dense = "digits-resnet", "fashion-dense"
    macs, latency = BUDGETS["macs"], BUDGETS["latency"]
    all_kinds = ("--decide", ALL_KINDS)
    wide = ("--budget", "macs=0.3..0.8", "--levels", "3", *READY)
    return [
        _train("all-methods", digits, *METHODS, more=latency),
        _train("range", digits, "sac", more=wide),
        _train("all-kinds", digits, "tqc", more=(*latency, *all_kinds)),
        _train("measured", dense, "ppo", more=("--budget", "macs=0.5"), measured=True),
        _search("packed", digits, "threshold", "--budget", "size=0.1", *READY, *all_kinds),
        _search("depth", digits, "nsga2", *macs, "--decide", "channels,depth"),
        _search("bits", dense, "td3", "--budget", "size=0.2", "--decide", "bits,weights", *READY),
        *_refusals(digits),
        *_verbs(),
    ]


def _refusals(digits: str) -> list[Case]:
    latency = BUDGETS["latency"]
    return [
        _train("refused-uniform", digits, "uniform", more=latency),
        _train("refused-budget", digits, "ddpg", more=("--budget", "macs=0.0001", *READY)),
        _train("refused-profile", digits, "ddpg", more=("--budget", "latency=0.5", "--device", "ready:none")),
        _train("refused-bits", digits, "ddpg", more=(*latency, "--decide", "bits")),
        Case("refused-run", ("report", "runs/none")),
    ]


def _verbs() -> list[Case]:
    methods, kinds, wide = "all-methods", "all-kinds", "range"
    two, three = (methods, kinds), (methods, kinds, wide)
    runs = [f"runs/{name}" for name in three]
    elsewhere = ("--network", "fashion-dense", "--budget", "macs=0.5", "--out", "runs/replay-elsewhere")
    checked = ("--no-timing", "--evaluations", "5", "--out", "runs/validate")
    return [
        Case("inspect", ("inspect", "--network", "fashion-mobilenet")),
        Case("replay", ("replay", runs[0], "--out", "runs/replay"), (methods,)),
        Case("replay-elsewhere", ("replay", "runs/range", *elsewhere), (wide,)),
        _apply("apply", methods),
        _apply("apply-packed", "packed"),
        Case("compare", ("compare", *runs, "--out", "runs/compare"), three, numbers=False),
        Case("front", ("front", *runs[:2], "--out", "runs/front"), two),
        Case("report", ("report", "runs/report"), copy_of=methods),
        Case("validate", ("validate", "runs/range", *checked), (wide,)),
    ]


def _apply(name: str, run: str) -> Case:
    flags = ("--samples", "5", "--out", f"runs/{name}")
    return Case(name, ("apply", f"runs/{run}/plan.json", *flags), (run,), measured=True)


def whole_cases() -> list[Case]:
    """The small cases, and the matrix."""
    cases = small_cases()
    quickest, *slower = NETWORKS
    for turn, (kinds, (cost, budget)) in enumerate(itertools.product((CHANNELS, ALL_KINDS), BUDGETS.items())):
        what, tail = (*budget, *_decide(kinds)), f"{cost}-{_mix(kinds)}"
        methods = [name for name in METHODS if kinds == CHANNELS or name not in ASK_FOR_MORE_EPISODES]
        cases += [_search(f"{quickest}-{tail}-{name}", quickest, name, *what) for name in (*AGENTS[1:], "greedy")]
        cases.append(_train(f"{quickest}-{tail}", quickest, *methods, more=what))
        for place, network in enumerate(slower):
            decided = kinds.replace("depth,", "") if network == WITHOUT_BLOCKS else kinds
            some = [name for name in methods if (METHODS.index(name) + place) % 4 == turn]
            more = (*budget, *_decide(decided), "--samples", "128")
            cases.append(_train(f"{network}-{tail}", network, *some, more=more))
    macs = (*BUDGETS["macs"], *_decide(ALL_KINDS))
    return [
        *cases,
        _search("refused-depth", WITHOUT_BLOCKS, "random", *macs),
        _search("refused-episodes", "fashion-mobilenet", "greedy", *macs),
    ]


def _mix(kinds: str) -> str:
    return "all" if kinds == ALL_KINDS else kinds


def _decide(kinds: str) -> tuple[str, ...]:
    """The flags; neither MACs nor a profile knows of bits, so a limit on size stands beside them."""
    return ("--decide", kinds, *(("--budget", "size=0.15") if "bits" in kinds else ()))
