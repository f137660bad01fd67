"""Hooks on modules that are taken off again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

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
