"""Finds plans that use a budget well, given the levels already decided.

``usage`` maps levels ``[N, K]`` to the share of the tightest budget they use, ``[N]``: at most 1 fits. It never falls
when a level rises. The search asks for many rows at once, because a call costs more than a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.choice import Choice

Usage = Callable[[IntArray], FloatArray]

FITS = 1 + 1e-9  # the same plan may cost one rounding error more in a batch of another size
_EXHAUSTIVE_ROWS = 512  # completions tried at once while walking
_EXHAUSTIVE_PLANS = 20_000  # plans tried once, at construction
_FILL_ROUNDS = 4
_RANDOM_CHAINS = 48
_NEIGHBOURS = 256


class LevelSearch:
    """Completions of decided prefixes: near-uniform first, then filled up.

    A *chain* leads from every free choice at its lowest level to every free choice at full level, one choice's next
    level at a time, in the order of the keep ratio it gives; so each of its elements is as uniform as the levels
    allow. The chain of fewer free choices is a part of the chain of more.

    Args:
        choices: what is decided.
        usage: see the module.
    """

    def __init__(self, choices: Sequence[Choice], usage: Usage) -> None:
        self.allowed = [np.asarray(choice.levels, dtype=np.int64) for choice in choices]
        self.low = np.array([levels[0] for levels in self.allowed], dtype=np.int64)
        self.full = np.array([levels[-1] for levels in self.allowed], dtype=np.int64)
        self.usage = usage
        self._mixed = any(choice.kind != "channels" for choice in choices)
        steps = sorted(
            (choice.priority(level), at, level) for at, choice in enumerate(choices) for level in choice.levels[1:]
        )
        self._steps = np.array([(at, level) for _, at, level in steps], dtype=np.int64).reshape(-1, 2)
        self._ratios = np.array([ratio for ratio, _, _ in steps])
        self._chains = [self._chain(self._steps[self._steps[:, 0] >= first]) for first in range(len(self.allowed) + 1)]
        self._next = np.tile(self.full[:, None], int(self.full.max(initial=0)) + 1)  # [choice, level] -> next level
        for at, levels in enumerate(self.allowed):
            self._next[at, levels[:-1]] = levels[1:]

    def complete(self, heads: IntArray, enough: float) -> tuple[IntArray, FloatArray]:
        """Complete every decided prefix so that it fits and, where possible, uses at least ``enough``.

        Args:
            heads: decided levels of the first choices, ``[N, t]``.
            enough: usage at which the search stops looking for more.

        Returns:
            Levels ``[N, K]`` that start with ``heads``, and their usage ``[N]``; usage over 1 where nothing fits.
        """
        rest = self.allowed[heads.shape[1] :]
        if len(heads) * math.prod(map(len, rest)) <= _EXHAUSTIVE_ROWS:
            return self._try_all(heads, rest)
        rows, used = self._along_chain(heads, self._chains[heads.shape[1]])
        return self._fill(rows, used, heads.shape[1], enough)

    def uniform(self) -> IntArray:
        """The largest equal keep ratio that fits, each choice rounded down to a level; everything lowest if none does.

        Of several kinds widths and densities share the ratio; :meth:`rlprune.choices.choice.Choice.priority` says where
        blocks and bits stand on its scale.
        """
        whole_ratios = np.append(True, np.append(np.diff(self._ratios) > 0, True)[: len(self._steps)])
        rows, _ = self._along_chain(np.empty((1, 0), dtype=np.int64), self._chains[0][whole_ratios])
        return np.asarray(rows[0])

    def filled(self, enough: float) -> tuple[IntArray, float]:
        """The plan with the most equal keep ratios that fits, filled up layer by layer in the chain's order.

        Where that uses less than ``enough`` and only channels are decided, a stronger search (every plan if they are
        few, else swaps and random chains) looks for the plan nearest to it that does, or else for the one that uses
        most. Of several kinds costs rise in leaps, where a layer leaves int8, and a plan below them is a good one.
        """
        empty = np.empty((1, 0), dtype=np.int64)
        start = self._along_chain(empty, self._chains[0])[0][0]
        best, used = self._top_up(start)
        if used >= enough or used > FITS or self._mixed:
            return best, used
        rows, usages = self._many_plans(best, enough)
        rows, usages = np.vstack([best[None], rows]), np.append(used, usages)
        distance = (((rows - start) / self.full) ** 2).sum(axis=1)
        reach = np.where(usages <= FITS, np.minimum(usages, enough), -1.0)
        return self._top_up(rows[np.lexsort((distance, -reach))[0]])

    def _chain(self, steps: IntArray) -> IntArray:
        chain = np.repeat(self.low[None], len(steps) + 1, axis=0)
        for row, (at, level) in enumerate(steps, start=1):
            chain[row:, at] = level
        return chain

    def _usage_of(self, rows: IntArray) -> FloatArray:
        """Usage of ``[..., K]`` as ``[...]``."""
        return self.usage(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape[:-1])

    def _try_all(self, heads: IntArray, rest: Sequence[IntArray]) -> tuple[IntArray, FloatArray]:
        tails = _product(rest)
        rows = np.empty((len(heads), len(tails), len(self.allowed)), dtype=np.int64)
        rows[:, :, : heads.shape[1]] = heads[:, None]
        rows[:, :, heads.shape[1] :] = tails
        used = self._usage_of(rows)
        best = np.where(used <= FITS, used, -used).argmax(axis=1)
        every = np.arange(len(heads))
        return rows[every, best], used[every, best]

    def _along_chain(self, heads: IntArray, chain: IntArray) -> tuple[IntArray, FloatArray]:
        """The last chain element that fits behind each head: a search in two calls, with sqrt(length) probes each."""
        last = len(chain) - 1
        stride = max(1, math.isqrt(last))
        coarse = np.append(np.arange(0, last, stride), last)
        start = coarse[self._last_fit(heads, chain, np.broadcast_to(coarse, (len(heads), len(coarse))))[0]]
        fine = np.minimum(start[:, None] + np.arange(stride), last)
        at, used = self._last_fit(heads, chain, fine)
        rows = chain[fine[np.arange(len(heads)), at]]
        rows[:, : heads.shape[1]] = heads
        return rows, used

    def _last_fit(self, heads: IntArray, chain: IntArray, probes: IntArray) -> tuple[IntArray, FloatArray]:
        rows = chain[probes]
        rows[:, :, : heads.shape[1]] = heads[:, None]
        used = self._usage_of(rows)
        at = np.maximum((used <= FITS).cumprod(axis=1).sum(axis=1) - 1, 0)
        return at, used[np.arange(len(heads)), at]

    def _fill(self, rows: IntArray, used: FloatArray, first: int, enough: float) -> tuple[IntArray, FloatArray]:
        """Where a plan uses too little, raise by one step the free choice that then uses most; a few rounds of it."""
        free = np.arange(first, len(self.allowed))
        for _ in range(_FILL_ROUNDS):
            short = np.flatnonzero(used < enough)
            if not len(short) or not len(free):
                break
            higher = np.repeat(rows[short][:, None], len(free), axis=1)
            higher[:, free - first, free] = self._next[free, rows[short][:, free]]
            usage = np.where((usage := self._usage_of(higher)) <= FITS, usage, -1.0)
            best = usage.argmax(axis=1)
            better = np.flatnonzero(usage.max(axis=1) > used[short])
            if not len(better):
                break
            rows[short[better]] = higher[better, best[better]]
            used[short[better]] = usage[better, best[better]]
        return rows, used

    def _top_up(self, row: IntArray) -> tuple[IntArray, float]:
        """Take every step of the chain that still fits, in its order."""
        row, used = row.copy(), float(self.usage(row[None])[0])
        closed: set[int] = set()
        for at, level in self._steps:
            if at in closed or level <= row[at]:
                continue
            higher = row.copy()
            higher[at] = level
            usage = float(self.usage(higher[None])[0])
            if usage <= FITS:
                row, used = higher, usage
            else:
                closed.add(int(at))
        return row, used

    def _many_plans(self, row: IntArray, enough: float) -> tuple[IntArray, FloatArray]:
        """A pool of plans that fit: all of them, or neighbours of ``row`` and ends of random chains."""
        if math.prod(map(len, self.allowed)) <= _EXHAUSTIVE_PLANS:
            plans = _product(self.allowed)
            return plans, self.usage(plans)
        pool = np.vstack([self._lowered(row)[:_NEIGHBOURS], *self._random_ends()])
        return self._fill(pool, self.usage(pool), 0, enough)

    def _lowered(self, row: IntArray) -> IntArray:
        """``row`` with one choice lower, in every way, by the least first."""
        lower = [(at, level) for at, levels in enumerate(self.allowed) for level in levels if level < row[at]]
        lower.sort(key=lambda step: row[step[0]] - step[1])
        rows = np.repeat(row[None], len(lower), axis=0)
        for row_number, (at, level) in enumerate(lower):
            rows[row_number, at] = level
        return rows

    def _random_ends(self) -> list[IntArray]:
        random = np.random.default_rng(0)
        empty, ends = np.empty((1, 0), dtype=np.int64), []
        for _ in range(_RANDOM_CHAINS):
            shuffled = random.permutation(self._steps[:, 0])
            taken = np.zeros(len(self.allowed), dtype=np.int64)
            steps = np.empty_like(self._steps)
            for step, at in enumerate(shuffled):
                taken[at] += 1
                steps[step] = at, self.allowed[at][taken[at]]
            ends.append(self._along_chain(empty, self._chain(steps))[0])
        return ends


def _product(choices: Sequence[IntArray]) -> IntArray:
    """Every combination of one entry per array, ``[product of lengths, len(choices)]``."""
    if not choices:
        return np.empty((1, 0), dtype=np.int64)
    return np.stack([axis.reshape(-1) for axis in np.meshgrid(*choices, indexing="ij")], axis=1)
