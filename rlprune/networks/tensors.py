"""Parameters and buffers of a model by ``state_dict`` key, those left out of its ``state_dict`` too."""

from __future__ import annotations

import torch
from torch import nn


def named_tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """All parameters and buffers by ``state_dict`` key, shared ones under each of their names."""
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]


def tensor_named(model: nn.Module, key: str) -> torch.Tensor:
    """A parameter or buffer of a model, also one that its ``state_dict`` leaves out."""
    module, _, name = key.rpartition(".")
    tensor = getattr(model.get_submodule(module), name)
    assert isinstance(tensor, torch.Tensor)
    return tensor
