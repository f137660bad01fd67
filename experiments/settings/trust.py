"""Whose code is run: a run folder may come from anyone, the command line comes from the user."""

from __future__ import annotations

import shlex
from pathlib import Path

from rlprune.errors import ConfigError
from rlprune.experiments.settings.commands import code_of, flag
from rlprune.experiments.settings.config import NetworkConfig


def refuse_code(run: Path, settings: NetworkConfig, network: str | None, task: str | None) -> None:
    """Refuse to run code that a run folder names, unless the command line names it too.

    Args:
        settings: of the run, with what the command line changed.
        network, task: as the command line names them.

    Raises:
        ConfigError: it tells what to add.
    """
    stated = {"network": network, "task": task}
    code = dict(code_of(settings))
    unsaid = [setting for setting, name in code.items() if name != stated[setting]]
    if unsaid:
        words = shlex.join([word for setting in unsaid for word in flag(setting, code[setting])])
        raise ConfigError(
            f"The {' and the '.join(unsaid)} of the run in {run} {'is' if len(unsaid) == 1 else 'are'} code of its "
            f"user, and a run folder may come from anyone. If you trust that code, add {words}"
        )
