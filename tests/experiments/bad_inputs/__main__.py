"""Print ``tests/experiments/bad_inputs/bad-input.md``."""

from __future__ import annotations

from tests.experiments.bad_inputs import TOPICS
from tests.experiments.bad_inputs.table import page

print(page(TOPICS), end="")
