"""What must agree before results are averaged, and words for what does not."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rlprune.experiments.runs.columns import score_text
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.row import Row
from rlprune.experiments.settings.verb_configs import TrainConfig

Conditions = dict[str, Any]
SPLITS = ("calibration", "validation", "test")
DEVICE = {
    "device": "device",
    "runtime": "runtime",
    "provider": "provider",
    "runtime threads": "threads",
    "batch": "batch",
    "precision": "precision",
}
"""Names of conditions, and how the result calls them."""
SCENE = (
    *("network", "network fingerprint", "dense network", "task", *(f"{split} samples" for split in SPLITS), "metric"),
    *DEVICE,
    "energy source",
)
"""Conditions under which plans share a front: budgets, rewards and episodes may differ."""
ELSEWHERE = frozenset(("network", "task", "budget", "reward", "samples", "episodes"))
"""Settings of which the result tells more."""
LABELS = frozenset(("seed", "out", "agent", "baselines", "data_dir", "device", "prefer", "resume", "workers"))
"""Settings that name things, or that choose what is compared."""
SETS = frozenset(("decide", "density", "bits"))
"""Settings in which order, and commas or repeated flags, say nothing."""
OF_AGENTS = ("preset", "setting")
OF_SEARCHES = ("finalists",)
"""Settings that make a line of their own; all other settings are conditions."""


def conditions_of(config: TrainConfig, result: Result, dense: Row) -> Conditions:
    """Everything that two runs must have in common for a mean over both to say something."""
    digests = result.data or {}
    device = result.device or {}
    return {
        "network": result.network,
        "network fingerprint": result.fingerprint,
        "dense network": _scores(dense),
        "task": result.task,
        **{f"{split} samples": digests.get(split) for split in SPLITS},
        "metric": result.metric,
        **{name: device.get(fact) for name, fact in DEVICE.items()},
        "energy source": result.energy_source,
        "budget": ", ".join(budgets_of(result)),
        "reward function": result.reward,
        "samples of one evaluation": result.samples,
        "episodes": result.episodes,
        **_settings(config),
    }


def budgets_of(result: Result) -> list[str]:
    """The budgets; of a range the range itself, not the level that was chosen on it."""
    front = result.front
    return result.budgets if front is None else [front.range, *result.budgets[1:]]


def _scores(dense: Row) -> str:
    """The network's weights tell themselves apart by what it scores."""
    return f"validation {score_text(dense.score_validation)}, test {score_text(dense.score_test)}"


def _settings(config: TrainConfig) -> Conditions:
    apart = ELSEWHERE | LABELS | {*OF_AGENTS, *OF_SEARCHES}
    values = dataclasses.asdict(config)
    if config.budget_range() is None:
        values["levels"] = None  # every run has the same conditions, so that any two can be told apart
    return {
        f"--{name.replace('_', '-')}": _members(value) if name in SETS else value
        for name, value in values.items()
        if name not in apart
    }


def _members(value: list[str] | str | None) -> list[str] | None:
    """However several values were given: the same list for the same values."""
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    return sorted({part.strip() for text in texts for part in text.split(",")} - {""})


def settings_of(config: TrainConfig, learns: bool) -> dict[str, Any]:
    """The settings of one method of a run that make it another method.

    Args:
        learns: presets are the agents' alone.
    """
    return {name: getattr(config, name) for name in ((*OF_AGENTS, *OF_SEARCHES) if learns else OF_SEARCHES)}


def key_of(values: Mapping[str, Any]) -> str:
    """Equal for equal conditions."""
    return json.dumps(values, sort_keys=True)


def shared(several: Sequence[Mapping[str, Any]]) -> Conditions:
    """What is the same in all of them."""
    first = several[0]
    return {name: value for name, value in first.items() if all(other[name] == value for other in several)}


IMPLIED = {
    "network": ("network fingerprint", "dense network"),
    "task": (*(f"{split} samples" for split in SPLITS), "dense network", "metric"),
    **{f"{split} samples": ("dense network",) for split in SPLITS},
    "network fingerprint": ("dense network",),
}
"""What differs anyway where something else does, and is not told beside it."""
WORDS = {
    "network fingerprint": "the layers of the network, which has the same name",
    **{f"{split} samples": f"the {split} samples" for split in SPLITS},
}
"""Of conditions whose values tell people nothing."""


def telling(names: Iterable[str]) -> list[str]:
    """Those of the conditions that differ which are no mere consequence of others."""
    given = list(names)
    implied = {name for cause in given for name in IMPLIED.get(cause, ())}
    return [name for name in given if name not in implied]


def differences(one: Conditions, other: Conditions) -> str:
    """In which conditions they differ, in words."""
    return ", ".join(
        WORDS.get(name, f"{name} ({shown(one[name])} against {shown(other[name])})")
        for name in telling(name for name in one if one[name] != other[name])
    )


def shown(value: Any) -> str:
    """A condition's value for people."""
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value)
    return f"sha256 {text[:8]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text
