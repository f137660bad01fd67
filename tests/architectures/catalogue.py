"""Every architecture by name."""

from __future__ import annotations

from tests.architectures import convolutional, sequences
from tests.architectures.architecture import Architecture

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture for architecture in convolutional.ARCHITECTURES + sequences.ARCHITECTURES
}
