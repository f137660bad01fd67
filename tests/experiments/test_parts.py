"""The parts of a run on their own."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from rlprune.agents.searcher import Episode
from rlprune.delivery.delivered import Delivered
from rlprune.devices.profiles.records import EnergyModel, ErrorSummary, TailModel
from rlprune.devices.profiling.promise import PlanTiming, PlanTimings
from rlprune.errors import ConfigError, RunError
from rlprune.evaluation.problem import Outcome
from rlprune.evaluation.quality import Quality
from rlprune.experiments.cli.parser import parse
from rlprune.experiments.cli.run_verbs import free_folder
from rlprune.experiments.cli.verbs import VERBS
from rlprune.experiments.pipeline.candidate import Candidate, Measured
from rlprune.experiments.pipeline.final_measurement import _timing_notes
from rlprune.experiments.pipeline.provenance import Provenance, energy_note
from rlprune.experiments.pipeline.running_methods import methods
from rlprune.experiments.runs.columns import columns, in_kilobytes
from rlprune.experiments.runs.episodes import read_csv, to_csv
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.row import Row
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.runs.tables import markdown_rows
from rlprune.experiments.runs.versions import versions
from rlprune.experiments.settings.options import as_dict, from_dict
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.pruning.quantization import Range
from rlprune.support.records import as_plain, as_record


def settings(*argv: str) -> TrainConfig:
    return parse(VERBS["train"], list(argv))[0]


def test_flags_default_and_repeat() -> None:
    assert settings() == TrainConfig()
    assert settings("--budget", "latency=0.5", "--budget=macs=0.3").budget == ["latency=0.5", "macs=0.3"]
    assert settings("--baselines", "[]").baselines == []
    assert settings("--baselines", "[random, tpe]").baselines == ["random", "tpe"]
    assert settings("--watts", "12").watts == 12.0


def test_flags_win_over_yaml_and_yaml_over_defaults(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("episodes: 7\nseed: 3\nbudget: [macs=0.4, params=0.5]\nout: null\n")
    found = settings("--seed", "4", "--config", str(path))
    assert (found.episodes, found.budget) == (7, ["macs=0.4", "params=0.5"])
    assert settings("--config", str(path), "--seed", "4").seed == 4
    assert settings("--config", str(path), "--budget", "macs=0.9").budget == ["macs=0.9"]


def test_positional_arguments_and_json() -> None:
    config, as_json = parse(VERBS["report"], ["runs/a", "--json"])
    assert (config.run, as_json) == ("runs/a", True)
    with pytest.raises(ConfigError, match="run"):
        parse(VERBS["report"], [])
    with pytest.raises(ConfigError, match="--budget needs a value"):
        settings("--budget")


@pytest.mark.parametrize("name", ["digits", "fashion-resnet20"])
def test_shipped_settings_are_read_and_in_range(name: str) -> None:
    import rlprune.experiments

    path = Path(rlprune.experiments.__file__).parent / "configs" / f"{name}.yaml"
    config = settings("--config", str(path))
    config.check()
    assert config.agent == "ddpg"


def test_settings_survive_the_run_folder(tmp_path: Path) -> None:
    config = TrainConfig(network="a.b:c", budget=["macs=20M"], ignore=["head*"], watts=3.5)
    with RunFolder.create(tmp_path / "run", config, "rlprune train", {}) as run:
        assert run.config() == config


def test_settings_from_a_file_are_checked() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'episodes'"):
        from_dict(TrainConfig, {"episods": 3})
    for wrong in ({"episodes": "3"}, {"episodes": True}, {"budget": "macs=1"}, {"network": None}, {"seed": 1.5}):
        with pytest.raises(ConfigError, match="must be"):
            from_dict(TrainConfig, wrong)
    assert from_dict(TrainConfig, as_dict(TrainConfig())) == TrainConfig()


def test_the_default_folder_is_named_by_the_settings() -> None:
    config = TrainConfig(network="my.nets:small", budget=["latency=0.5", "macs=2M"], seed=3)
    assert config.folder() == "runs/my.nets.small-latency0.5-macs2M-ddpg-seed3"
    assert dataclasses.replace(config, out="here").folder() == "here"


def test_checking_a_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    check_free(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    check_free(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="Cannot write"):
        check_free(tmp_path / "run")


def episode(number: int, reward: float) -> Episode:
    outcome = Outcome(
        np.array([8, 16]),
        Quality(0.9, 0.1, 64),
        {"macs": 1e6, "latency": 0.5},
        reward,
        {"score": 0.9, "log_cost": 2.0},
        0.1,
    )
    return Episode(number, outcome, 0.25 * number, number, 0, "refined")


def test_the_table_of_episodes_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "episodes.csv"
    path.write_text(to_csv([episode(1, 1 / 3), episode(2, -2.0)]))
    table = read_csv(path)
    assert table["reward"].tolist() == [1 / 3, -2.0]
    assert table["latency_ms"].tolist() == [0.5, 0.5]
    assert table["term_log_cost"].tolist() == [2.0, 2.0]
    assert table.widths.tolist() == [[8, 16], [8, 16]]


def row(name: str, role: str, score: float, divergence: float, **more: float) -> Row:
    return Row(name, role, score, divergence, macs=2e6, params=3e3, size_bytes=12_000, widths=(4,), **more)


NO_ERRORS = ErrorSummary(0.0, 0.0, 0.0, 0)
ROWS = [
    row("dense", "dense", 0.99, 0.0),
    row("uniform", "uniform", 0.90, 0.3),
    row("random", "baseline", 0.95, 0.2),
    row("ddpg", "agent", 0.95, 0.1),
]


def test_speed_is_one_over_latency() -> None:
    measured = row("a", "agent", 0.9, 0.1, latency_promised_ms=3.0, latency_measured_ms=2.0, energy_mj=30.0, batch=4)
    assert measured.images_per_second == pytest.approx(4 / 0.002)
    assert row("a", "agent", 0.9, 0.1).images_per_second is None
    assert as_record(as_plain(measured), Row) == measured


def test_energy_is_metered_where_it_can_be_else_power_times_time() -> None:
    facts = Provenance(EnergyModel.stated(15.0, "stated"), TailModel(0.5, 1.1, NO_ERRORS), "stated", 4, {}, [])
    assert facts.energy_mj(None, 2.0, 1e6) == pytest.approx(30.0)
    assert facts.energy_mj(7.0, 2.0, 1e6) == 7.0
    assert facts.energy_mj(None, None, 1e6) is None
    assert dataclasses.replace(facts, energy=None).energy_mj(None, 2.0, 1e6) is None
    assert facts.p99(2.0) == pytest.approx(2.7)
    assert facts.p99(None) is None
    fitted = EnergyModel(2.0, "meter", measured=True, base_mj=1.0, mj_per_mmac=0.5, idle_watts=0.5)
    assert dataclasses.replace(facts, energy=fitted).energy_mj(None, 3.0, 4e6) == pytest.approx(1 + 6 + 2)
    assert "an idle device draws 0.5 W of it" in energy_note(fitted)


def test_columns_without_values_are_left_out_and_scores_are_percentages() -> None:
    assert [column.head for column in columns("accuracy", ROWS)] == ["network", "accuracy", "MACs", "params", "size"]
    text = markdown_rows("accuracy", ROWS)
    assert "| ddpg | 95.00% | 2.00 | 3.0 | 12.0 |" in text
    walked = markdown_rows("accuracy", [row("ddpg", "learned", 0.9, 0.1)])
    assert "| ddpg (learned) | 90.00%" in walked  # a policy decided it, without a search
    assert "-3.1000" in markdown_rows("r2", [row("a", "agent", -3.1, 0.1)])


def test_every_method_runs_once_and_the_agent_last() -> None:
    assert methods("ddpg", ["uniform", "filled", "random", "ddpg", "random", "tpe"]) == ["random", "tpe", "ddpg"]
    assert methods("random", []) == ["random"]


def test_the_demo_takes_the_first_free_folder(tmp_path: Path) -> None:
    (tmp_path / "demo-1").mkdir()
    assert free_folder(tmp_path) == tmp_path / "demo-2"


def test_versions_name_what_a_run_stands_on() -> None:
    found = versions()
    assert {"rlprune", "python", "torch", "numpy", "stable-baselines3", "gymnasium", "onnxruntime", "cpu"} <= set(found)
    assert found["torch"]


@pytest.mark.parametrize(("size", "text"), [(11_733.6, "11.7"), (99_940, "99.9"), (308_100.4, "308")])
def test_small_sizes_have_a_decimal(size: float, text: str) -> None:
    assert in_kilobytes(size) == text


@pytest.mark.parametrize(
    ("corrected", "ranges", "warned"),
    [(1.10, True, True), (1.04, True, False), (1.10, False, False), (0.8, True, False)],
)
def test_a_network_in_int8_that_is_slower_than_promised_is_told_with_what_to_do(
    corrected: float, ranges: bool, warned: bool
) -> None:
    delivered = Delivered(nn.Identity(), ranges={"conv": Range(0.0, 1.0)} if ranges else {})
    quality = Quality(0.9, 0.1, 100)
    measured = Measured(corrected_ms=2.0 * corrected)
    item = Candidate("ddpg", "agent", np.array([4]), {"latency": 2.0}, quality, delivered, quality, measured=measured)
    timing = PlanTiming(1.0, {"p99": 1.0}, 1.0, 1.0)
    notes = _timing_notes([item], PlanTimings(timing, (timing,), 0.01), dense=1.0)
    assert f"ddpg {corrected - 1:+.1%}" in notes[1]
    assert (len(notes) == 3 and "ask for a budget that is smaller" in notes[-1]) == warned
