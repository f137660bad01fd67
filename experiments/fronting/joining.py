"""From run folders to fronts: which runs may share one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments.comparing.conditions import DEVICE, SCENE, differences
from rlprune.experiments.comparing.reading import Read, read_runs
from rlprune.experiments.fronting.answer import Fronts
from rlprune.experiments.fronting.objectives import TIMED
from rlprune.experiments.fronting.plans import Source
from rlprune.experiments.fronting.wishes import Wishes, fronts_of
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.result import MALFORMED
from rlprune.experiments.settings.result_configs import FrontConfig


def join_fronts(config: FrontConfig) -> Fronts:
    """The fronts of finished runs together, and one plan of them.

    Raises:
        ConfigError: a setting is wrong, or no run came.
        BudgetError: no plan keeps to the limits.
        RunError: a run cannot be read, runs cannot share a front, or ``out`` cannot be written.
    """
    wishes = Wishes.of(config)
    if config.out is not None:
        check_free(config.out)
    runs, notes = read_runs(config.runs)
    for note in notes:
        print(f"rlprune: {note}", file=sys.stderr)
    _refuse_strangers(runs, wishes.objectives)
    try:
        found = fronts_of([_source(run) for run in runs], wishes, notes, config.out)
        json.dumps(found.as_dict(), allow_nan=False)  # what cannot be written is refused before any file is
        if config.out is not None:
            found.write(Path(config.out))
    except RlpruneError:
        raise
    except MALFORMED as reason:
        names = ", ".join(run.path for run in runs)
        raise RunError(f"A run among {names} holds a result that gives no front ({reason!r}). Train again.") from reason
    return found


def _source(run: Read) -> Source:
    return Source(run.path, run.result, run.tables, run.layered)


def _refuse_strangers(runs: Sequence[Read], objectives: Sequence[str]) -> None:
    """All runs must be of one network and data, and of one device where it counts."""
    of_device = (*DEVICE, "energy source")
    device_counts = not objectives or any(name in TIMED for name in objectives)
    counting = [name for name in SCENE if device_counts or name not in of_device]
    first = {name: runs[0].conditions[name] for name in counting}
    for run in runs[1:]:
        other = {name: run.conditions[name] for name in counting}
        if first != other:
            more = ", or name objectives that need no device" if device_counts else ""
            raise RunError(
                f"A front is of one network, data and device; {runs[0].path} and {run.path} differ in "
                f"{differences(first, other)}. Name runs that agree{more}."
            )
