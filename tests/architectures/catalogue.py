"""Every architecture by name."""

from __future__ import annotations

import pytest

from tests.architectures import convolutional, sequences
from tests.architectures.architecture import Architecture

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture for architecture in convolutional.ARCHITECTURES + sequences.ARCHITECTURES
}
LARGE = (
    "swin", "pyramid-transformer", "transformer-complete", "hf-bert", "hf-mixtral", "hf-mamba", "hf-t5", "hf-swin",
    "hf-segformer", "hf-mobilenet-v2",
)  # fmt: skip
"""Those that every proof takes ten seconds and more for."""
PARAMETERS = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in ARCHITECTURES]
"""Every architecture for a fixture; the quick tests leave the large ones out."""
