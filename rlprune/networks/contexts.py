"""What holds for a module as long as a context lasts: hooks, and evaluation mode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


@contextlib.contextmanager
def hooked(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Keep hooks for as long as the context lasts.

    >>> with hooked([module.register_forward_hook(note)]):    # doctest: +SKIP
    ...     model(inputs)
    """
    placed = list(handles)
    try:
        yield
    finally:
        for handle in placed:
            handle.remove()


@contextlib.contextmanager
def evaluated(module: nn.Module) -> Iterator[nn.Module]:
    """The module in evaluation mode without gradients; afterwards each part is in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        with torch.no_grad():
            yield module.eval()
    finally:
        for part, mode in modes:
            part.training = mode
