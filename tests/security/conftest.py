"""The run that the tests of the experiments train serves here too."""

from __future__ import annotations

from tests.experiments.conftest import blank_pictures, call_fixture, here, trained, workplace

__all__ = ["blank_pictures", "call_fixture", "here", "trained", "workplace"]
