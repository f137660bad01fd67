"""Settings every test shares."""

from __future__ import annotations

import signal

import torch
from hypothesis import settings

settings.register_profile("fixed", derandomize=True)
settings.register_profile("random", derandomize=False)  # make test-random
settings.load_profile("fixed")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background of a shell: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # equal sums on every machine, and no fight over cores
