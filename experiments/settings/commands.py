"""Commands as they are printed: each runs as it stands, in the folder in which it was printed."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments.settings.config import NetworkConfig, from_dict
from rlprune.experiments.settings.options import default_of, flag_of
from rlprune.experiments.settings.run_config import CONFIG, TrainConfig
from rlprune.experiments.settings.yaml_file import read_yaml
from rlprune.support.user_code import is_reference
from rlprune.zoo.sources import SOURCES

WIDTHS = ("ignore", "only", "multiple", "minimum", "rule")
DECISIONS = ("decide", "density", "pattern", "removed", "bits", "exclude")
"""Settings without which a network is another one to a profile or a search."""
DATA = ("task", "data_dir")


def command(verb: str, *words: str) -> str:
    """``rlprune VERB WORDS``, quoted for a shell."""
    return shlex.join(["rlprune", verb, *words])


def tensorboard(folder: Path) -> str:
    """How to look at the curves in a folder."""
    return shlex.join(["tensorboard", "--logdir", str(folder)])


def flags(settings: Any, *names: str) -> list[str]:
    """The words that give those of the settings ``names`` that are not at their defaults."""
    fields = {field.name: field for field in dataclasses.fields(settings)}
    given = [name for name in names if getattr(settings, name) != default_of(fields[name])]
    return [word for name in given for word in flag(name, getattr(settings, name))]


def flag(name: str, value: Any) -> list[str]:
    """The words that give one setting; of a list, one flag for each of its values."""
    if value is True:
        return [flag_of(name)]
    if isinstance(value, list):
        return [word for item in value for word in flag(name, item)]
    text = str(value)
    return [f"{flag_of(name)}={text}"] if text.startswith("-") else [flag_of(name), text]


def code_of(settings: NetworkConfig) -> Iterator[tuple[str, str]]:
    """Setting and name of what ``module:function`` stands for in the settings of a run."""
    if settings.network.partition(":")[0] not in SOURCES and is_reference(settings.network):
        yield "network", settings.network
    if settings.task is not None and is_reference(settings.task):
        yield "task", settings.task


def resume(run: Path, settings: NetworkConfig | None = None) -> str:
    """The command that goes on with a run; its settings are read where they are not given."""
    found = _settings_of(run) if settings is None else settings
    return command("train", "--resume", str(run), *_named(found))


def of_run(run: Path, settings: TrainConfig, budgets: Sequence[str], policy: bool) -> list[str]:
    """What can be done with a finished run; ``policy``: whether it has one to replay."""
    network, code, place = ["--network", settings.network, *flags(settings, *DATA, "seed")], _named(settings), str(run)
    replay = [command("replay", place, *code, *flag("budget", list(budgets)))] if policy else []
    return [
        command("validate", place, *code),
        command("apply", str(run / "plan.json"), *network, "--out", f"{place}-pruned"),
        *replay,
        command("front", place),
        command("report", place),
        tensorboard(run / "tensorboard"),
    ]


def _named(settings: NetworkConfig) -> list[str]:
    """Whose code is run must be said again for every run folder; see :mod:`rlprune.experiments.settings.trust`."""
    return [word for name, value in code_of(settings) for word in flag(name, value)]


def _settings_of(run: Path) -> NetworkConfig:
    try:
        return from_dict(TrainConfig, read_yaml(run / CONFIG, RunError))
    except RlpruneError:
        return NetworkConfig()
