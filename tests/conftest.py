"""Settings every test shares."""

from __future__ import annotations

import torch

torch.set_num_threads(1)  # equal sums on every machine, and no fight over cores
