"""Settings every test shares."""

from __future__ import annotations

import signal
import sys
from functools import cache

import torch
from hypothesis import settings

settings.register_profile("fixed", derandomize=True)
settings.register_profile("random", derandomize=False)  # make test-random
settings.load_profile("fixed")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background of a shell: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # equal sums on every machine, and no fight over cores


def pytest_runtest_setup() -> None:
    """Let torch list the operators of ONNX once in a process: it reads their source again at every export."""
    exporter = sys.modules.get("torch.onnx._internal.exporter._registration")
    listing = getattr(exporter, "onnxscript_apis", None)
    if hasattr(listing, "get_torchlib_ops") and not hasattr(listing.get_torchlib_ops, "cache_info"):
        listing.get_torchlib_ops = cache(listing.get_torchlib_ops)
