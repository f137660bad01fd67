"""What a reshape does to dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def matching_dimensions(source: Sequence[int], target: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Consecutive dimensions of both shapes that hold the same number of elements, as positions.

    >>> list(matching_dimensions((2, 3, 4, 5), (2, 12, 5)))
    [([0], [0]), ([1, 2], [1]), ([3], [2])]
    """
    i = j = 0
    while i < len(source) or j < len(target):
        left: list[int] = []
        right: list[int] = []
        a = b = 1
        while True:
            if a <= b and i < len(source) and (a < b or not left):
                a, left, i = a * source[i], [*left, i], i + 1
            elif j < len(target) and (b < a or not right):
                b, right, j = b * target[j], [*right, j], j + 1
            else:
                break
        yield left, right
        if not left and not right:
            return
