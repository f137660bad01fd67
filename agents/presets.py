"""The searchers by name, and their settings by preset."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rlprune.agents.algorithms import ALGORITHMS
from rlprune.agents.baselines.fixed_plan import FixedPlanSearcher
from rlprune.agents.baselines.greedy import GreedySearcher
from rlprune.agents.baselines.nsga2 import NSGA2Searcher
from rlprune.agents.baselines.optuna_search import OptunaSearcher
from rlprune.agents.baselines.random_search import RandomSearcher
from rlprune.agents.baselines.sensitivity import SensitivitySearcher
from rlprune.agents.baselines.threshold import ThresholdSearcher, ThresholdSettings
from rlprune.agents.learning import AgentSettings, LearningSearcher
from rlprune.agents.searcher import Searcher
from rlprune.agents.surrogate import SurrogateSettings
from rlprune.agents.surrogate_search import SurrogateSearcher
from rlprune.errors import ConfigError, unknown_name

Settings = TypeVar("Settings", AgentSettings, SurrogateSettings, ThresholdSettings)
Changes = Mapping[str, Any]

BASELINES: dict[str, Callable[[], Searcher]] = {
    "uniform": lambda: FixedPlanSearcher("uniform"),
    "filled": lambda: FixedPlanSearcher("filled"),
    "random": RandomSearcher,
    "evolutionary": lambda: OptunaSearcher("evolutionary"),
    "tpe": lambda: OptunaSearcher("tpe"),
    "nsga2": NSGA2Searcher,
    "greedy": GreedySearcher,
    "sensitivity": SensitivitySearcher,
    "prior": lambda: FixedPlanSearcher("prior"),
    "probe": lambda: FixedPlanSearcher("probe"),
    "probe-shrunk": lambda: FixedPlanSearcher("probe-shrunk"),
    "surrogate": SurrogateSearcher,
    "threshold": ThresholdSearcher,
}
AGENTS = tuple(ALGORITHMS)
METHODS = (*AGENTS, *BASELINES)
TUNABLE = (*AGENTS, "surrogate", "threshold")
"""Those that have settings."""

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # What each part brings: one of them switched off.
    "no-refinement": {"refined": 0.0},
    "no-shaping": {"shaped": False},
    "no-residuals": {"residuals": False},
    "no-imagination": {"imagination": False},
    # SB3's algorithm as it comes, with the actions of AMC.
    "plain": {"imagination": False, "actions": "ratio"},
}


def make_searcher(name: str, preset: str = "default", changes: Changes | None = None) -> Searcher:
    """The searcher of a method, by its name.

    >>> searcher = make_searcher("ddpg", changes={"refined": 0.25})
    >>> searcher.fewest_episodes(choices=6)
    2

    Args:
        preset: a name of :data:`PRESETS`; baselines have only ``default``.
        changes: settings by name, those of an agent's surrogate too.

    Raises:
        ConfigError: an unknown name, preset or setting (the nearest is offered), or a value that is not allowed.
    """
    if name not in METHODS:
        raise ConfigError(unknown_name("method", name, METHODS))
    presets = PRESETS if name in AGENTS else {"default": {}}
    if preset not in presets:
        raise ConfigError(unknown_name(f"preset of {name}", preset, presets))
    wanted = {**presets[preset], **(changes or {})}
    if name == "threshold":
        return ThresholdSearcher(changed(ThresholdSettings(), wanted, name))
    if name == "surrogate":
        return SurrogateSearcher(changed(SurrogateSettings(), wanted, name))
    if name in AGENTS:
        return LearningSearcher(name, changed(AgentSettings(), wanted, name))
    if wanted:
        raise ConfigError(f"{name} has no settings; {', '.join(wanted)} came. Leave --setting out.")
    return BASELINES[name]()


def changed(settings: Settings, changes: Changes, name: str) -> Settings:
    """Settings with some of them, or of their surrogate, changed.

    Raises:
        ConfigError: a name that is no setting, or a value of another kind than the default.
    """
    inner = getattr(settings, "surrogate", None)
    own = {item.name for item in dataclasses.fields(settings)} - {"surrogate"}
    nested = {item.name for item in dataclasses.fields(inner)} if inner else set()
    for key in changes:
        if key not in own | nested:
            raise ConfigError(unknown_name(f"setting of {name}", key, own | nested))
    values = {key: _as(getattr(settings if key in own else inner, key), value, key) for key, value in changes.items()}
    replaced = {key: value for key, value in values.items() if key in own}
    if inner:
        replaced["surrogate"] = dataclasses.replace(inner, **{key: values[key] for key in values.keys() & nested})
    return dataclasses.replace(settings, **replaced)


KINDS = {
    bool: "true or false",
    tuple: "a list of whole numbers such as 64,64",
    int: "a whole number",
    float: "a number such as 0.5",
}


def _as(default: Any, value: Any, key: str) -> Any:
    """A value as the kind that its default has; text is read."""
    try:
        if isinstance(default, str):
            return str(value)
        if isinstance(default, bool):
            return {"true": True, "false": False}[str(value).lower()]
        if isinstance(default, tuple):
            return tuple(int(part) for part in (value.split(",") if isinstance(value, str) else value))
        return int(value) if isinstance(default, int) else float(value)
    except (KeyError, ValueError, TypeError) as reason:
        raise ConfigError(f"Setting {key!r} must be {KINDS[type(default)]}; {value!r} came.") from reason
