"""Finished runs side by side: means over seeds, paired differences, the common front."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments.comparing.answer import Comparison
from rlprune.experiments.comparing.reading import Read, read_runs
from rlprune.experiments.comparing.sections import sections_of
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.result import MALFORMED
from rlprune.experiments.settings.result_configs import CompareConfig

__all__ = ["Comparison", "compare_runs"]


def compare_runs(config: CompareConfig) -> Comparison:
    """Read finished runs and put them beside each other; what is not comparable stands apart.

    Raises:
        ConfigError: no run was given.
        RunError: a folder that was named is no finished run, a result is malformed, or ``out`` cannot be written.
    """
    if config.out is not None:
        check_free(config.out)
    runs, left_out = read_runs(config.runs)
    for note in left_out:
        print(f"rlprune: {note}", file=sys.stderr)
    found = _compared(runs, left_out, config.out)
    if config.out is not None:
        found.write(Path(config.out))
    return found


def _compared(runs: list[Read], left_out: list[str], out: str | None) -> Comparison:
    try:
        sections, notes = sections_of(runs)
        found = Comparison(sections, [*left_out, *notes], out)
        # What cannot be written is refused before any file is.
        found.as_markdown()
        json.dumps(found.as_dict(), allow_nan=False)
    except RlpruneError:
        raise
    except MALFORMED as reason:
        names = ", ".join(str(run.path) for run in runs)
        raise RunError(
            f"A run among {names} holds a result that cannot be compared ({reason!r}). Train again."
        ) from reason
    return found
