"""Atoms: the single positions along dimensions of parameters, and which of them must go together.

Each position of each dimension of each parameter gets a number, its atom. Tracing joins atoms (union-find) and fixes
those that cannot be removed. What is joined in the end is one channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlprune.arrays import IntArray

Label = IntArray | None
"""The atoms along one dimension of a tensor, ``FIXED`` where a position cannot be removed; None where none can."""

Labels = tuple[Label, ...]
"""One :data:`Label` for each dimension of a tensor."""

FIXED = -1


@dataclass(frozen=True)
class TensorAxis:
    """One dimension of one parameter or buffer.

    Attributes:
        tensor: its ``state_dict`` key.
        dim: the dimension.
        start, size: its atoms are ``start ... start + size - 1``.
    """

    tensor: str
    dim: int
    start: int
    size: int

    @property
    def atoms(self) -> IntArray:
        return np.arange(self.start, self.start + self.size)


class Atoms:
    """All atoms of one network, what joins them, and what forbids their removal."""

    def __init__(self) -> None:
        self.axes: list[TensorAxis] = []
        self.count = 0
        self._edges: list[tuple[IntArray, IntArray]] = []
        self._fixed: list[tuple[IntArray, str]] = []
        self._repeated: set[int] = set()
        self._produced: list[IntArray] = []

    def new_axis(self, tensor: str, dim: int, size: int) -> IntArray:
        """Atoms for one dimension of a parameter or buffer."""
        self.axes.append(TensorAxis(tensor, dim, self.count, size))
        return self.fresh(size)

    def fresh(self, size: int) -> IntArray:
        """Atoms that stand for no parameter, as for the first state of a recurrent layer."""
        start, self.count = self.count, self.count + size
        return np.arange(start, self.count)

    def repeated(self, size: int) -> IntArray:
        """Atoms for one value that is repeated ``size`` times, as ``expand_as`` does."""
        label = self.fresh(size)
        self._repeated.add(int(label[0]))
        return label

    def is_repeated(self, label: Label) -> bool:
        """Whether a label comes from :meth:`repeated`."""
        return label is not None and int(label[0]) in self._repeated

    def join(self, left: Label, right: Label, reason: str) -> Label:
        """Positions of both labels go together, one by one; where one of them is fixed, so is the other."""
        if left is None or right is None:
            self.fix(right if left is None else left, reason)
            return None
        both = (left != FIXED) & (right != FIXED)
        self.fix(left[~both], reason)
        self.fix(right[~both], reason)
        self._edges.append((left[both], right[both]))
        return np.where(both, left, FIXED)

    def join_rows(self, rows: IntArray, reason: str) -> IntArray:
        """All entries of each row go together; one label for the rows (``[n, m] -> [n]``)."""
        first = np.ascontiguousarray(rows[:, 0])
        for column in range(1, rows.shape[1]):
            joined = self.join(first, np.ascontiguousarray(rows[:, column]), reason)
            assert joined is not None  # both were arrays
            first = joined
        return first

    def fix(self, label: Label, reason: str) -> None:
        """These positions cannot be removed."""
        if label is not None:
            label = label[label >= 0]
            if len(label):
                self._fixed.append((label, reason))

    def produce(self, label: Label) -> None:
        """Note that a weight produces channels along these atoms."""
        if label is not None:
            self._produced.append(label[label >= 0])

    def produced(self) -> IntArray:
        """The atoms along which weights produce channels."""
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *self._produced]))

    def roots(self) -> IntArray:
        """For each atom, the smallest atom it is joined with."""
        root = np.arange(self.count)
        if not self._edges:
            return root
        left = np.concatenate([a for a, _ in self._edges])
        right = np.concatenate([b for _, b in self._edges])
        while True:
            low = np.minimum(root[left], root[right])
            before = root.copy()
            np.minimum.at(root, root[left], low)
            np.minimum.at(root, root[right], low)
            while not np.array_equal(root, root[root]):
                root = root[root]
            if np.array_equal(root, before):
                return root

    def fixed(self, roots: IntArray) -> dict[int, str]:
        """Root -> why its atoms cannot be removed; the first reason counts."""
        reasons: dict[int, str] = {}
        for label, reason in self._fixed:
            for root in np.unique(roots[label]).tolist():
                reasons.setdefault(root, reason)
        return reasons


def once(label: IntArray) -> IntArray:
    """One copy of a label that was repeated, as for each sample of a batch."""
    count = len(np.unique(label))
    return label[:count] if np.array_equal(label, np.resize(label[:count], len(label))) else label
