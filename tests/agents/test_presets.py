from __future__ import annotations

import sys

import pytest

from rlprune.agents import AGENTS, METHODS, make_searcher
from rlprune.agents.baselines.threshold import ThresholdSearcher, ThresholdSettings
from rlprune.agents.learning import AgentSettings, LearningSearcher
from rlprune.agents.presets import PRESETS
from rlprune.errors import ConfigError
from tests.agents.conftest import MakeEnv


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_made_by_name(name: str) -> None:
    assert make_searcher(name).name == name


@pytest.mark.parametrize("name", ["ddpg", "ppo"])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_searches(name: str, preset: str, make_env: MakeEnv) -> None:
    episodes = make_searcher(name, preset).search(make_env(), 14, 0).episodes
    assert len(episodes) == 14


def test_presets_change_what_they_say() -> None:
    searcher = make_searcher("td3", "no-refinement", {"optimism": "2", "hidden": "32,16", "shaped": "false"})
    assert isinstance(searcher, LearningSearcher)
    settings = searcher.settings
    assert (settings.refined, settings.surrogate.optimism) == (0.0, 2.0)
    assert (settings.hidden, settings.shaped) == ((32, 16), False)
    assert settings.walks == AgentSettings().walks


def test_the_threshold_baseline_takes_its_step_by_name() -> None:
    searcher = make_searcher("threshold", changes={"alpha": "0.5", "rule": "proportional"})
    assert isinstance(searcher, ThresholdSearcher)
    assert searcher.settings == ThresholdSettings(alpha=0.5, rule="proportional")


@pytest.mark.parametrize(
    ("name", "preset", "changes", "message"),
    [
        ("dpg", "default", {}, "Did you mean 'ddpg'"),
        ("ddpg", "defualt", {}, "Did you mean 'default'"),
        ("random", "no-shaping", {}, "preset of random"),
        ("ddpg", "default", {"optimsm": 1}, "Did you mean 'optimism'"),
        ("random", "default", {"optimism": 1}, "has no settings"),
        ("threshold", "default", {"alfa": 1}, "Did you mean 'alpha'"),
        ("threshold", "default", {"alpha": "much"}, "'alpha' must be a number"),
        ("threshold", "default", {"alpha": 0}, "alpha must be above 0"),
        ("threshold", "default", {"rule": "fixd"}, "Did you mean 'fixed'"),
        ("threshold", "no-shaping", {}, "preset of threshold"),
        ("ddpg", "default", {"walks": "many"}, "'walks' must be a whole number"),
        ("ddpg", "default", {"model": "perhaps"}, "'model' must be true or false"),
        ("ddpg", "default", {"hidden": "a,b"}, "list of whole numbers"),
        ("ddpg", "default", {"walks": 0}, "'walks' must be at least 1; 0 came"),
        ("ddpg", "default", {"refined": 1.5}, "share between 0 and 1; 1.5 came"),
        ("ddpg", "default", {"actions": "prize"}, "Did you mean 'price'"),
        ("ddpg", "default", {"actions": "ratio"}, "Imagined episodes have prices"),
        ("surrogate", "default", {"restarts": 2}, "share of restarts"),
    ],
)
def test_what_is_unknown_or_impossible_is_refused(
    name: str, preset: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_searcher(name, preset, changes)


def test_tqc_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(ConfigError, match=r"rlprune\[contrib\]"):
        make_searcher("tqc")
    assert set(AGENTS) == {"ddpg", "td3", "sac", "tqc", "ppo"}
