"""Every architecture by name."""

from __future__ import annotations

import pytest

from tests.architectures import convolutional, sequences
from tests.architectures.architecture import Architecture

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture for architecture in convolutional.ARCHITECTURES + sequences.ARCHITECTURES
}
QUICK = (
    "vgg", "point-net", "resnet-basic", "resnet-option-a", "resnext", "resnet-group-norm",
    "resnet-standardized-weights", "mobilenet-v3", "shufflenet-v1", "ghostnet", "blur-pool", "densenet", "c2f", "unet",
    "siamese", "squeeze-excitation", "selective-kernel", "glu", "maxout", "mlp-mixer", "convnext", "frozen-batch-norm",
    "pixel-unshuffle", "bare-parameters", "own-gradients", "encoder-pre-norm",
    "attention-separate", "attention-packed", "attention-einsum", "language-model-tied", "shared-layers", "llama-block",
    "vision-transformer", "hf-gpt2", "hf-vit", "lstm-two-layers", "lstm-packed", "gru-bidirectional", "lstm-cell",
    "dlrm", "cross-network", "mixture-of-experts", "session-gru",
)  # fmt: skip
"""One for each pattern, of those that take a second or two: the quick tests prove these, the slow ones all others."""


def parameters(quick: tuple[str, ...]) -> list[object]:
    """Every architecture for ``parametrize``; those that are not among ``quick`` are slow tests."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]
