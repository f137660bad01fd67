"""Event files of real runs, read back with TensorBoard's own reader."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.backend_context import Context

from rlprune.agents import Episode
from rlprune.evaluation.problem import Outcome
from rlprune.evaluation.quality import Quality
from rlprune.experiments.presenting.document import Words, block_to_markdown
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.tensorboard.columns import columns_of, results_of
from rlprune.experiments.tensorboard.curves import Scalars
from rlprune.experiments.tensorboard.events import EpisodeWriter
from rlprune.experiments.tensorboard.joining import JoinedEntry, join_entries
from tests.experiments.conftest import TINY, call

TRIED = [
    "tried/accuracy",
    "tried/divergence",
    "tried/energy_mj",
    "tried/latency_ms",
    "tried/macs",
    "tried/params",
    "tried/reward",
]
BEST = ["run/best_accuracy", "run/best_divergence", "run/best_reward"]
RESULTS = ["accuracy_test", "latency_ms", "latency_speedup", "plan_macs", "plan_size_bytes", "validation_accuracy"]
VOLUME = "run/hypervolume_of_objectives"
EPISODES = 12


def read(path: Path) -> EventAccumulator:
    return EventAccumulator(str(path), size_guidance={"tensors": 0, "scalars": 0}).Reload()


@pytest.fixture(scope="module")
def events(trained: Any) -> dict[str, EventAccumulator]:
    entries = {path.name: path for path in (trained.path / "tensorboard").iterdir()}
    assert set(entries) == {f"{name}-seed0" for name in ("ddpg", "random", "uniform", "filled", "probe")}
    return {name.removesuffix("-seed0"): read(path) for name, path in entries.items()}


@pytest.fixture(scope="module")
def result(trained: Any) -> Result:
    return RunFolder(trained.path).result()


def scalars(events: EventAccumulator) -> list[str]:
    return sorted(events.Tags()["scalars"])


def hparams(events: EventAccumulator) -> dict[str, Any]:
    content = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}


def test_the_tags_are_stable(events: dict[str, EventAccumulator]) -> None:
    searched = sorted([*BEST, "run/evaluations", VOLUME, *TRIED])
    assert scalars(events["ddpg"]) == searched
    assert scalars(events["random"]) == searched
    assert scalars(events["uniform"]) == sorted([*BEST, VOLUME, *TRIED])


def test_every_episode_is_one_step(events: dict[str, EventAccumulator], result: Result) -> None:
    for name in ("ddpg", "random"):
        count = result.searches[name].episodes
        for tag in [*BEST, *TRIED, "run/evaluations"]:
            assert [event.step for event in events[name].Scalars(tag)] == list(range(1, count + 1)), tag
    for tag, best in (
        ("reward", np.maximum.accumulate),
        ("accuracy", np.maximum.accumulate),
        ("divergence", np.minimum.accumulate),
    ):
        tried = [event.value for event in events["ddpg"].Scalars(f"tried/{tag}")]
        so_far = [event.value for event in events["ddpg"].Scalars(f"run/best_{tag}")]
        assert so_far == pytest.approx(best(tried).tolist())


def test_the_volume_of_the_objectives_never_falls_and_ends_as_the_run_states_it(
    events: dict[str, EventAccumulator], trained: Any
) -> None:
    kept = json.loads((trained.path / "front.json").read_text())["fronts"]["searched"]["hypervolume"]["methods"]
    for name, own in events.items():
        volumes = [event.value for event in own.Scalars(VOLUME)]
        assert volumes == sorted(volumes)
        assert volumes[-1] == pytest.approx(kept[name])
        assert volumes[-1] > 0


def test_uniform_is_a_level_line(events: dict[str, EventAccumulator]) -> None:
    for name in ("uniform", "filled"):
        line = events[name].Scalars("tried/macs")
        assert [event.step for event in line] == [1, EPISODES]
        assert line[0].value == line[1].value


def test_results_are_columns_of_hparams_alone(events: dict[str, EventAccumulator], result: Result) -> None:
    rows = {row.name: row for row in result.rows}
    for name, own in events.items():
        found = hparams(own)
        assert set(RESULTS) <= set(found)
        assert found["accuracy_test"] == pytest.approx(rows[name].score_test)
        assert (found["latency_ms"], found["latency_is"]) == (pytest.approx(rows[name].latency_promised_ms), "promised")
    assert hparams(events["ddpg"])["search_evaluations"] == result.searches["ddpg"].evaluations
    assert all(hparams(events[name])["search_evaluations"] == 0 for name in ("uniform", "filled"))


def test_tensorboard_puts_score_latency_and_speed_up_first(trained: Any) -> None:
    folder = str(trained.path / "tensorboard")
    runs = EventMultiplexer().AddRunsFromDirectory(folder)
    context = Context(TBContext(data_provider=MultiplexerDataProvider(runs.Reload(), folder)))
    request = RequestContext()
    written = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(request, "", True, written, None)
    ticked = experiment.hparam_infos[:5]  # by its page
    assert [column.name for column in ticked[:4]] == ["accuracy_test", "latency_ms", "latency_speedup", "method"]
    assert all(column.differs for column in ticked)
    metrics = [metric.name.tag for metric in experiment.metric_infos[:5]]
    assert metrics == [*BEST[:2], BEST[2], "run/evaluations", VOLUME]


def test_every_setting_is_an_hparam(events: dict[str, EventAccumulator], trained: Any) -> None:
    found = hparams(events["ddpg"])
    settings = {field.name for field in dataclasses.fields(RunFolder(trained.path).config())}
    assert settings - {"out", "resume", "data_dir", "agent", "baselines", "levels", "prefer"} <= set(found)
    assert (found["method"], found["task"], found["device"]) == ("ddpg", "tiny", "profile.json")
    assert (found["budget"], found["seed"], found["multiple"], found["preset"]) == ("latency=0.5", "0", 2.0, "default")
    assert hparams(events["uniform"])["method"] == "uniform"
    assert set(hparams(events["random"])) == set(found)


def test_no_run_fixes_the_columns_of_the_others(events: dict[str, EventAccumulator]) -> None:
    # TensorBoard would take the experiment of the first run for all runs; without one it takes all columns.
    for own in events.values():
        assert metadata.EXPERIMENT_TAG not in own.summary_metadata
        assert metadata.SESSION_END_INFO_TAG in own.summary_metadata


def test_changed_settings_are_hparams_of_the_agent_alone(trained: Any, result: Result) -> None:
    config = dataclasses.replace(
        RunFolder(trained.path).config(),
        setting=["optimism=2", "envs=x"],
        preset="no-model",
        budget=["macs=1", "params=2"],
    )
    rows = {row.name: row for row in result.rows}
    found = columns_of(config, result, rows["ddpg"])
    assert (found["setting"], found["setting.optimism"], found["setting.envs"]) == (
        "optimism=2, envs=x",
        2.0,
        "x",
    )
    assert (found["preset"], found["budget"], found["ignore"]) == ("no-model", "macs=1, params=2", "none")
    plain = columns_of(config, result, rows["random"])
    assert (plain["preset"], plain["setting"], "setting.optimism" in plain) == ("default", "none", False)


def test_speed_up_is_over_the_dense_network(result: Result) -> None:
    row = result.rows[-1]
    dense = replace(row, latency_measured_ms=3.0)
    timed = results_of(result, replace(row, latency_measured_ms=1.5), dense)
    assert (timed["latency_speedup"], timed["latency_is"]) == (2.0, "measured")
    unknown = replace(row, latency_measured_ms=None, latency_promised_ms=None)
    assert not {"latency_speedup", "latency_ms", "latency_is"} & set(results_of(result, unknown, dense))


def test_pictures_and_texts_stand_with_the_agent(events: dict[str, EventAccumulator], result: Result) -> None:
    tags = events["ddpg"].Tags()["images"]
    names = {"learning-curve", "keep-ratios", "tried-plans", "accuracy-against-cost"}
    assert {name.removeprefix("view/") for name in tags} == names
    assert {events["ddpg"].Images(tag)[0].width for tag in tags} == {620}  # twice what TensorBoard shows
    texts = {
        tag.split("/")[0]: events["ddpg"].Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in events["ddpg"].Tags()["tensors"]
        if tag.endswith("text_summary")
    }
    assert set(texts) == {"outcome", "plan", "reproduce"}
    assert block_to_markdown(Words(result.verdict)) in texts["outcome"]
    assert texts["outcome"].count("\n- ") == len(result.notes)
    assert all(group.name in texts["plan"] for group in result.groups)
    assert texts["reproduce"].startswith("```\nrlprune train ")
    assert not events["random"].Tags()["images"]


def test_a_range_does_not_mix_budgets(here: Path, tmp_path: Path) -> None:
    wide = ("--device", "profile.json", "--budget", "latency=0.5..0.9", "--levels", 2, "--profile-samples", 10)
    called = call("train", *TINY, *wide, "--episodes", 24, "--out", tmp_path / "range")
    assert called.code == 0, called.err
    own = read(tmp_path / "range" / "tensorboard" / "ddpg-seed0")
    assert scalars(own) == ["run/evaluations", "run/hypervolume", VOLUME]
    volumes = [event.value for event in own.Scalars("run/hypervolume")]
    assert volumes == sorted(volumes)
    volume = RunFolder(tmp_path / "range").result().front.hypervolume
    assert volumes[-1] == pytest.approx(volume["ddpg"])
    uniform = read(tmp_path / "range" / "tensorboard" / "uniform-seed0").Scalars("run/hypervolume")
    assert [event.value for event in uniform] == pytest.approx([volume["uniform"]] * 2)
    assert (hparams(own)["budget"], hparams(own)["levels"]) == ("latency=0.5..0.9", 2.0)
    assert "view/front" in own.Tags()["images"]


def outcome(cost: float, loss: float) -> Outcome:
    return Outcome(np.array([8]), Quality(0.5, loss, 10), {"macs": cost}, -loss, {}, loss)


class Reward:
    """Curves of the reward alone."""

    def of(self, episode: Episode) -> Scalars:
        return {"run/best_reward": episode.outcome.reward}

    def level(self, name: str) -> Scalars:
        return {"run/best_reward": 0.0}


def test_episodes_that_are_written_again_keep_their_time(tmp_path: Path) -> None:
    with EpisodeWriter(tmp_path, Reward()) as writer:
        for number, time in ((1, 1000.0), (2, 1060.5)):
            writer.add(Episode(number, outcome(1.0, 1.0), 0.0, number, 0, "policy"), wall_time=time)
        writer.add(Episode(3, outcome(1.0, 1.0), 0.0, 3, 0, "policy"))
    written = read(tmp_path).Scalars("run/best_reward")
    assert [event.wall_time for event in written[:2]] == [1000.0, 1060.5]
    assert written[2].wall_time > 1e9


def test_entries_of_several_runs_stand_once_in_one_folder(trained: Any, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained.path, copy)
    (copy / "tensorboard" / "ddpg-seed0" / "events.out.tfevents.0").symlink_to("/etc/hostname")
    entries = [
        JoinedEntry(run, method, seed, label)
        for run in (trained.path, copy)
        for method, seed, label in (("ddpg", 0, "ddpg"), ("uniform", 0, "uniform"), ("random", 9, "random"))
    ]
    join_entries([*entries, JoinedEntry(copy, "ddpg", 0, "ddpg optimism=2/x")], tmp_path / "joined")
    joined = {path.name: path for path in (tmp_path / "joined").iterdir()}
    assert set(joined) == {"ddpg-seed0", "uniform-seed0", "ddpg-optimism=2-x-seed0"}
    assert all(not file.is_symlink() for folder in joined.values() for file in folder.iterdir())
    own = read(joined["ddpg-seed0"])
    assert own.Scalars("run/best_reward") == read(trained.path / "tensorboard" / "ddpg-seed0").Scalars(
        "run/best_reward"
    )
