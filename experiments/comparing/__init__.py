"""Finished runs side by side: means over seeds, paired differences, the common front."""

from __future__ import annotations

import sys
from pathlib import Path

from rlprune.experiments.comparing.answer import Comparison
from rlprune.experiments.comparing.reading import read_runs
from rlprune.experiments.comparing.sections import sections_of
from rlprune.experiments.free_folder import check_free
from rlprune.experiments.run_config import CompareConfig

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
    sections, notes = sections_of(runs)
    found = Comparison(sections, [*left_out, *notes], config.out)
    if config.out is not None:
        found.write(Path(config.out))
    return found
