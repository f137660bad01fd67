"""The searchers by name, and their settings by preset."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rlprune.agents.baselines.greedy import GreedySearcher
from rlprune.agents.baselines.nsga2 import NSGA2Searcher
from rlprune.agents.baselines.optuna_search import OptunaSearcher
from rlprune.agents.baselines.probe import TableSearcher
from rlprune.agents.baselines.random_search import RandomSearcher
from rlprune.agents.baselines.sensitivity import SensitivitySearcher
from rlprune.agents.baselines.threshold import ThresholdSearcher, ThresholdSettings
from rlprune.agents.baselines.uniform import UniformSearcher
from rlprune.agents.off_policy import ALGORITHMS, OffPolicySearcher, OffPolicySettings
from rlprune.agents.ppo import PPOSearcher, PPOSettings
from rlprune.agents.searcher import Searcher
from rlprune.agents.surrogate import SurrogateSearcher
from rlprune.errors import ConfigError, unknown_name

Settings = TypeVar("Settings", OffPolicySettings, PPOSettings, ThresholdSettings)
Changes = Mapping[str, Any]

BASELINES: dict[str, Callable[[], Searcher]] = {
    "uniform": lambda: UniformSearcher("uniform"),
    "filled": lambda: UniformSearcher("filled"),
    "random": RandomSearcher,
    "evolutionary": lambda: OptunaSearcher("evolutionary"),
    "tpe": lambda: OptunaSearcher("tpe"),
    "nsga2": NSGA2Searcher,
    "greedy": GreedySearcher,
    "sensitivity": SensitivitySearcher,
    "prior": lambda: TableSearcher("prior"),
    "probe": lambda: TableSearcher("probe"),
    "probe-shrunk": lambda: TableSearcher("probe-shrunk"),
    "surrogate": SurrogateSearcher,
    "threshold": ThresholdSearcher,
}
AGENTS = (*ALGORITHMS, "ppo")
METHODS = (*AGENTS, *BASELINES)
TUNABLE = (*AGENTS, "threshold")
"""Those that have settings."""

PLAIN = {"returns": False, "planned": False, "imitation": 0}
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # What each part brings: one of them switched off.
    "no-model": {"model": False},
    "no-residuals": {"residuals": False},
    "no-warm-start": {"warm_start": False},
    "no-actor": {"actor": 0.0},
    "no-restarts": {"restarts": 0.0},
    "no-ranks": {"ranks": False},
    "no-returns": {"returns": False},
    "no-imitation": {"imitation": 0},
    # SB3's algorithm as it comes.
    "plain": PLAIN,
}
PPO_PRESETS = {name: {key: value for key, value in preset.items() if key not in ("returns", "ranks")}
               for name, preset in PRESETS.items() if name not in ("no-ranks", "no-returns")}  # fmt: skip


def make_searcher(name: str, preset: str = "default", changes: Changes | None = None) -> Searcher:
    """The searcher of a method, by its name.

    >>> searcher = make_searcher("ddpg", changes={"warm_start": False, "random_episodes": 4})
    >>> searcher.fewest_episodes(choices=6)
    5

    Args:
        preset: a name of :data:`PRESETS`; baselines have only ``default``.
        changes: settings by name, those of an agent's :class:`Exploration` too.

    Raises:
        ConfigError: an unknown name, preset or setting (the nearest is offered), or a value that is not allowed.
    """
    if name not in METHODS:
        raise ConfigError(unknown_name("method", name, METHODS))
    presets = PPO_PRESETS if name == "ppo" else PRESETS if name in AGENTS else {"default": {}}
    if preset not in presets:
        raise ConfigError(unknown_name(f"preset of {name}", preset, presets))
    wanted = {**presets[preset], **(changes or {})}
    if name == "threshold":
        return ThresholdSearcher(changed(ThresholdSettings(), wanted, name))
    if name in BASELINES:
        if wanted:
            raise ConfigError(f"{name} has no settings; {', '.join(wanted)} came. Leave --setting out.")
        return BASELINES[name]()
    if name == "ppo":
        return PPOSearcher(changed(PPOSettings(), wanted, name))
    return OffPolicySearcher(name, changed(OffPolicySettings(), wanted, name))


def changed(settings: Settings, changes: Changes, name: str) -> Settings:
    """Settings with some of them, or of their exploration, changed.

    Raises:
        ConfigError: a name that is no setting, or a value of another kind than the default.
    """
    exploration = getattr(settings, "exploration", None)
    own = {item.name for item in dataclasses.fields(settings)} - {"exploration"}
    exploring = {item.name for item in dataclasses.fields(exploration)} if exploration else set()
    for key in changes:
        if key not in own | exploring:
            raise ConfigError(unknown_name(f"setting of {name}", key, own | exploring))
    values = {key: _as(getattr(settings if key in own else exploration, key), value, key)
              for key, value in changes.items()}  # fmt: skip
    replaced = {key: value for key, value in values.items() if key in own}
    if exploration:
        explored = {key: value for key, value in values.items() if key in exploring}
        replaced["exploration"] = dataclasses.replace(exploration, **explored)
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
