from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

START = """
import torch
from torch import nn
from rlprune import Network
from rlprune.evaluation.workers import Workers
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import Split, Task

class Heavy(nn.Module):
    \"\"\"Its pickle is larger than a pipe holds.\"\"\"

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        self.ballast = list(range(200_000))

    def forward(self, x):
        return self.layers(x)

def start():
    inputs = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    split = Split(inputs, torch.arange(40) % 3)
    task = Task("toy", calibration=split, validation=split, test=split, classes=3)
    with Workers(2, PruningTables(Network(Heavy(), inputs[:1]), split), task, 40, None) as pool:
        print("evaluated", len(pool.measure([(8,), (16,)])))

"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("start()", "each process runs script.py again"),
        pytest.param("if __name__:\n    start()", "each process runs the main script again", marks=pytest.mark.slow),
        pytest.param('if __name__ == "__main__":\n    start()', "evaluated 2", marks=pytest.mark.slow),
    ],
)
def test_a_script_that_starts_workers_needs_a_guard(tmp_path: Path, line: str, told: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(START + line + "\n")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240, check=False)
    output = run.stdout + run.stderr
    assert told in output
    assert ('if __name__ == "__main__":`' in output) == (run.returncode != 0)
