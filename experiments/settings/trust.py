"""Whose code is run: a run folder may come from anyone, the command line comes from the user."""

from __future__ import annotations

import shlex
from pathlib import Path

from rlprune.errors import ConfigError
from rlprune.experiments.settings.options import words_of
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.support.user_code import is_reference
from rlprune.zoo.sources import SOURCES


def code_of(settings: NetworkConfig) -> dict[str, str]:
    """Setting to the ``module:function`` that it names, of those settings that name code of the user."""
    found: dict[str, str] = {}
    if settings.network.partition(":")[0] not in SOURCES and is_reference(settings.network):
        found["network"] = settings.network
    if settings.task is not None and is_reference(settings.task):
        found["task"] = settings.task
    return found


def refuse_code(run: Path, settings: NetworkConfig, network: str | None, task: str | None) -> None:
    """Refuse to run code that a run folder names, unless the command line names it too.

    Args:
        settings: of the run, with what the command line changed.
        network, task: as the command line names them.

    Raises:
        ConfigError: it tells what to add.
    """
    stated = {"network": network, "task": task}
    code = code_of(settings)
    unsaid = [setting for setting, name in code.items() if name != stated[setting]]
    if unsaid:
        words = shlex.join([word for setting in unsaid for word in words_of(setting, code[setting])])
        raise ConfigError(
            f"The {' and the '.join(unsaid)} of the run in {run} {'is' if len(unsaid) == 1 else 'are'} code of its "
            f"user, and a run folder may come from anyone. If you trust that code, add {words}"
        )
