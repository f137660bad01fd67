"""A cache that forgets what was not used for longest when it grows too large."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch

Value = TypeVar("Value")
ENTRY_BYTES = 512


class RecentlyUsed(Generic[Value]):
    """Values by key; tensors in them are counted, alone or in a tuple.

    Args:
        limit: bytes that may be kept.

    Attributes:
        bytes: what is kept now.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.bytes = 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of ``key``, computed where it is not known."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = compute()
        self._values[key] = value
        self.bytes += _size(value)
        while self.bytes > self.limit:
            self.bytes -= _size(self._values.popitem(last=False)[1])
        return value


def _size(value: object) -> int:
    parts = value if isinstance(value, tuple) else (value,)
    return ENTRY_BYTES + sum(part.numel() * part.itemsize for part in parts if isinstance(part, torch.Tensor))
