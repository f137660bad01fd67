"""Agents and baselines: ways to search for a plan, all behind one interface."""

from __future__ import annotations

from rlprune.agents.learning import AgentSettings, LearningSearcher
from rlprune.agents.policy import Policy
from rlprune.agents.presets import AGENTS, BASELINES, METHODS, PRESETS, TUNABLE, make_searcher
from rlprune.agents.replay import replay
from rlprune.agents.searcher import (
    ORIGINS,
    Episode,
    EpisodeCallback,
    RangeSearcher,
    Searcher,
    SearchResult,
    best_outcomes,
    search_range,
)

__all__ = [
    "AGENTS",
    "BASELINES",
    "METHODS",
    "ORIGINS",
    "PRESETS",
    "TUNABLE",
    "AgentSettings",
    "Episode",
    "EpisodeCallback",
    "LearningSearcher",
    "Policy",
    "RangeSearcher",
    "SearchResult",
    "Searcher",
    "best_outcomes",
    "make_searcher",
    "replay",
    "search_range",
]
