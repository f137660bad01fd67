"""A finished run checked: its networks rebuilt from the record, and everything it claims measured again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlprune.errors import ConfigError, RlpruneError, RunError
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.checked import Within
from rlprune.experiments.runs.run_folder import RESULT, RunFolder
from rlprune.experiments.runs.versions import versions
from rlprune.experiments.settings.result_configs import ValidateConfig
from rlprune.experiments.validating.claims import DIFFERS, HOLDS, UNCHECKED, Claims
from rlprune.experiments.validating.comparing import Comparison
from rlprune.experiments.validating.of_details import check_details
from rlprune.experiments.validating.of_files import check_files, check_plans, check_profile
from rlprune.experiments.validating.of_measured import check_measured
from rlprune.experiments.validating.of_networks import check_finalists, check_network
from rlprune.experiments.validating.of_record import check_record
from rlprune.experiments.validating.of_search import check_episodes, check_marks, check_policy, check_tables
from rlprune.experiments.validating.rebuilding import Rebuilt, rebuild
from rlprune.experiments.validating.recomputing import front_of, inputs_of, listed, networks_of
from rlprune.experiments.validating.table import print_claims
from rlprune.experiments.validating.tolerances import Tolerances
from rlprune.support.files import read_json, write_json
from rlprune.support.threads import torch_threads

SCHEMA = "rlprune-validation/1"
FILE = "validation.json"


@dataclass(frozen=True)
class ValidateAnswer:
    """What was found.

    Attributes:
        run: the folder.
        settings: of the check.
        claims: all of them.
        then, now: versions and machine of the run, and of the check.
    """

    run: str
    settings: ValidateConfig
    claims: Claims
    then: Mapping[str, Any]
    now: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """0 where all that can be checked holds, 1 where a claim differs."""
        return int(self.claims.counts()[DIFFERS] > 0)

    @property
    def others(self) -> dict[str, dict[str, Any]]:
        """Versions that are not those of the run: for information, they are no claim."""
        names = dict.fromkeys([*self.then, *self.now])
        pairs = {name: {"then": self.then.get(name), "now": self.now.get(name)} for name in names}
        return {name: pair for name, pair in pairs.items() if pair["then"] != pair["now"]}

    @property
    def sentence(self) -> str:
        """The counts, for people."""
        counts = self.claims.counts()
        total = len(self.claims.items)
        return (
            f"Of {total} claims of {self.run}, {counts[HOLDS]} hold, {counts[DIFFERS]} differ and "
            f"{counts[UNCHECKED]} cannot be checked here."
        )

    def as_dict(self) -> dict[str, object]:
        """Everything as plain values."""
        return {
            "schema": SCHEMA,
            "run": self.run,
            "verdict": self.sentence,
            "counts": self.claims.counts(),
            "seed": self.settings.seed,
            "evaluations": self.settings.evaluations,
            "other_versions": self.others,
            "machine": dict(self.now),
            "claims": [claim.as_dict() for claim in self.claims.items],
        }

    def show(self) -> None:
        """Print what differs, then the rest by topic, and the counts."""
        print_claims(self.claims.items)
        if self.others:
            told = (f"{name} {pair['then']} -> {pair['now']}" for name, pair in self.others.items())
            print(f"Other than when the run was made: {', '.join(told)}.")
        else:
            print("Versions and machine are those of the run.")
        print(self.sentence)


def validate_run(settings: ValidateConfig, progress: Progress | None = None) -> ValidateAnswer:
    """Check every claim of a run; its folder is only read.

    Raises:
        RlpruneError: a setting is wrong, the run is not complete or malformed, or its network or data are not here.
    """
    progress = progress or Progress()
    settings.check()
    run = RunFolder.open(settings.run, RESULT, "versions.json")
    out = None if settings.out is None else _free(Path(settings.out), run.path)
    then, now = read_json(run.path / "versions.json", RunError), versions()
    claims = Claims()
    config = run.config()
    config.check()
    with torch_threads(config.threads):
        rebuilt = rebuild(settings, run, progress)
        samples = {
            Within.SEARCH_SCORE: rebuilt.evaluator.dense.samples,
            Within.VALIDATION_SCORE: len(rebuilt.material.task.validation),
            Within.TEST_SCORE: len(rebuilt.material.task.test),
        }
        comparison = Comparison(claims, Tolerances.of(then, now, samples), rebuilt.lacking)
        try:
            _check(comparison, rebuilt, settings, then, progress)
        except RlpruneError:
            raise
        except (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError) as reason:
            wrong = f"{run.path} holds a result that is malformed ({reason!r})"
            raise RunError(f"{wrong}. Nothing can be said of it; train again.") from reason
    answer = ValidateAnswer(str(settings.run), settings, claims, then, now)
    if out is not None:
        write_json(out, answer.as_dict(), RunError)
    return answer


def _free(path: Path, run: Path) -> Path:
    """The file for the answer: outside the run, new or an earlier answer."""
    path = path if path.suffix == ".json" else path / FILE
    if path.resolve().is_relative_to(run.resolve()):
        raise ConfigError(f"--out must lie outside the run, which is only read; {path} came. Choose another place.")
    if path.is_dir() or (path.exists() and read_json(path, ConfigError).get("schema") != SCHEMA):
        raise ConfigError(f"{path} exists and is no validation. Choose another file with --out.")
    return path


def _check(
    comparison: Comparison, rebuilt: Rebuilt, settings: ValidateConfig, then: Mapping[str, Any], progress: Progress
) -> None:
    claims, tolerances, result = comparison.claims, comparison.tolerances, rebuilt.result
    claims.topic = "inputs"
    comparison.compare(result.network, result, inputs_of(rebuilt))
    check_profile(claims, rebuilt)
    networks = list(listed(rebuilt))
    claims.topic = "networks"
    for item, found in zip(networks, networks_of(rebuilt, networks, progress), strict=True):
        check_network(comparison, rebuilt, item, found)
    check_plans(claims, rebuilt, networks)
    check_details(claims, rebuilt, tolerances)
    claims.topic = "files"
    with progress.phase("files", "Comparing the delivered files"):
        check_files(claims, rebuilt, tolerances)
    claims.topic = "search"
    tables = check_tables(comparison, rebuilt)
    check_marks(comparison, rebuilt, tables)
    check_episodes(comparison, rebuilt, tables, settings, progress)
    check_finalists(comparison, rebuilt, progress)
    check_policy(claims, rebuilt)
    if result.front is not None:
        with claims.reading("hypervolume", "all methods", result.front.hypervolume):
            comparison.compare("front", result.front, front_of(rebuilt, result.front, tables))
    claims.topic = "measured"
    check_measured(claims, rebuilt, networks, progress)
    claims.topic = "record"
    check_record(comparison, rebuilt, then)
