"""The run that the tests of the experiments train serves here too."""

from __future__ import annotations

from tests.experiments.conftest import call_fixture, here, trained, workplace

__all__ = ["call_fixture", "here", "trained", "workplace"]
