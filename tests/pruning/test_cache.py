from __future__ import annotations

import torch

from rlprune.pruning.cache import ENTRY_BYTES, RecentlyUsed


def test_what_was_not_used_for_longest_goes_first() -> None:
    size = 4 * 100 + ENTRY_BYTES
    cache: RecentlyUsed[torch.Tensor] = RecentlyUsed(2 * size)
    calls: list[str] = []

    def make(key: str) -> torch.Tensor:
        return cache.get(key, lambda: calls.append(key) or torch.zeros(100))  # type: ignore[func-returns-value]

    for key in "abaca":
        make(key)
    assert calls == ["a", "b", "c"]
    assert cache.bytes == 2 * size
    make("b")
    assert calls == ["a", "b", "c", "b"]


def test_a_value_larger_than_the_limit_is_given_but_not_kept() -> None:
    cache: RecentlyUsed[tuple[torch.Tensor | None, ...]] = RecentlyUsed(100)
    assert cache.get("x", lambda: (torch.ones(1000), None))[0].sum() == 1000  # type: ignore[union-attr]
    assert cache.bytes == 0
