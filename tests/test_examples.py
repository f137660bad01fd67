"""The examples in docstrings run as they are printed; those of other modules go on where that of the package ends."""

from __future__ import annotations

import doctest
import importlib
from typing import Any

import pytest

import rlprune

MODULES = (
    "rlprune.agents.presets",
    "rlprune.agents.replay",
    "rlprune.budgets.limits",
    "rlprune.devices",
    "rlprune.devices.profiles.profile",
    "rlprune.evaluation.evaluator",
    "rlprune.evaluation.problem",
    "rlprune.networks.contexts",
    "rlprune.networks.network",
    "rlprune.plans.plan",
    "rlprune.support.reshapes",
    "rlprune.tasks.base",
)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the example of the package defines."""
    example = doctest.DocTestParser().get_doctest(rlprune.__doc__ or "", {}, "rlprune", None, None)
    assert not doctest.DocTestRunner().run(example, clear_globs=False).failed
    return example.globs


@pytest.mark.parametrize("module", MODULES)
def test_examples_run_as_they_are_printed(module: str, names: dict[str, Any]) -> None:
    result = doctest.testmod(importlib.import_module(module), extraglobs=names)
    assert result.attempted > 0
    assert result.failed == 0
