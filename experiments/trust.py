"""Whose code is run: a run folder may come from anyone, the command line comes from the user."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from rlprune.errors import ConfigError
from rlprune.experiments.config import NetworkConfig
from rlprune.references import is_reference
from rlprune.zoo.sources import SOURCES


def code_of(settings: NetworkConfig) -> Iterator[tuple[str, str]]:
    """Setting and name of what ``module:function`` stands for in the settings of a run."""
    if settings.network.partition(":")[0] not in SOURCES and is_reference(settings.network):
        yield "network", settings.network
    if settings.task is not None and is_reference(settings.task):
        yield "task", settings.task


def refuse_code(run: Path, settings: NetworkConfig, network: str | None, task: str | None) -> None:
    """Refuse to run code that a run folder names, unless the command line names it too.

    Args:
        settings: of the run, with what the command line changed.
        network, task: as the command line names them.

    Raises:
        ConfigError: it tells what to add.
    """
    stated = {"network": network, "task": task}
    for setting, name in code_of(settings):
        if name != stated[setting]:
            raise ConfigError(
                f"The {setting} of the run in {run} is code of its user, and a run folder may come from anyone. If you "
                f"trust that code, add --{setting} {name}"
            )


def how_to_continue(run: Path, settings: NetworkConfig) -> str:
    """The command that goes on with a run."""
    named = [f"--{setting} {shlex.quote(name)}" for setting, name in code_of(settings)]
    return " ".join(["Continue with: rlprune train --resume", shlex.quote(str(run)), *named])
