"""Commands as they are printed: each runs as it stands, in the folder in which it was printed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments.settings.options import changed_words, from_dict, words_of
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.experiments.settings.trust import code_of
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.settings.yaml_file import CONFIG, read_yaml

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


def resume(run: Path, settings: NetworkConfig | None = None) -> str:
    """The command that goes on with a run; its settings are read where they are not given."""
    found = _settings_of(run) if settings is None else settings
    return command("train", "--resume", str(run), *_named(found))


def of_run(run: Path, settings: TrainConfig, budgets: Sequence[str], policy: bool) -> list[str]:
    """What can be done with a finished run; ``policy``: whether it has one to replay."""
    place, code = str(run), _named(settings)
    network = ["--network", settings.network, *changed_words(settings, *DATA, "seed")]
    replay = [command("replay", place, *code, *words_of("budget", list(budgets)))] if policy else []
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
    return [word for name, value in code_of(settings).items() for word in words_of(name, value)]


def _settings_of(run: Path) -> NetworkConfig:
    try:
        return from_dict(TrainConfig, read_yaml(run / CONFIG, RunError))
    except RlpruneError:
        return NetworkConfig()
