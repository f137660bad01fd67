"""What is known about plans that were not tried: a model of the return, split over the decisions of an episode."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.optimize import nnls

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.choice import Choice, Kind
from rlprune.evaluation.problem import PruningProblem

PRIOR_WEIGHT = 0.1
HARM: dict[Kind, float] = {"channels": 1.0, "weights": 0.7, "bits": 0.1, "depth": 6.0}
"""Divergence for each unit of a kind's error curve, as a multiple of that of channels (docs/results.md)."""
LENGTHS = (0.25, 0.5, 1.0)
NOISES = (0.03, 0.15, 0.6)
FEWEST_FOR_RESIDUALS = 8
REFIT_EVERY = 8
LEAST = 1e-9
MOST_ITERATIONS = 30


class AdditiveLoss:
    """A plan's loss as a sum over choices, none of which falls when its level does.

    Near the dense network the divergence is a quadratic form of the outputs' errors, and errors of different layers are
    hardly correlated: so they add. Each step from one level to the next lower one of a choice costs a
    non-negative amount, found by non-negative least squares on relative errors (Lawson and Hanson 1974), drawn
    towards the group's reconstruction error curve, which is known before any plan is tried. In terms of reinforcement
    learning it is a return decomposition (Efroni et al., AAAI 2021, trajectory feedback).

    Args:
        problem: gives choices, their levels and error curves.
        prior_weight: how many evaluations the prior counts as, for each step.
    """

    def __init__(self, problem: PruningProblem, prior_weight: float = PRIOR_WEIGHT) -> None:
        choices = problem.space.choices
        self._prior_weight = prior_weight
        self._places = np.concatenate([np.full(len(c.levels) - 1, i) for i, c in enumerate(choices)]).astype(np.int64)
        self._wider = np.concatenate([c.levels[1:] for c in choices]).astype(np.int64)
        self._prior = np.concatenate([_steps(problem, choice) for choice in choices])
        self._steps = self._prior

    def fit(self, plans: IntArray, losses: FloatArray) -> None:
        """Learn from plans ``[N, G]`` and their losses ``[N]``, all above 0."""
        lost = self._lost(plans)
        scale = float(np.exp(np.mean(np.log(losses) - np.log(lost @ self._prior + LEAST))))
        prior = self._prior * scale
        rows = np.vstack([lost * prior / losses[:, None], np.sqrt(self._prior_weight) * np.eye(len(prior))])
        wanted = np.concatenate([np.ones(len(plans)), np.full(len(prior), np.sqrt(self._prior_weight))])
        self._steps = nnls(rows, wanted, maxiter=MOST_ITERATIONS * len(prior))[0] * prior

    def __call__(self, plans: IntArray) -> FloatArray:
        """Logarithm of the loss that is expected of plans, ``[N, G] -> [N]``."""
        return np.asarray(np.log(np.maximum(self._lost(plans) @ self._steps, LEAST)))

    def _lost(self, plans: IntArray) -> FloatArray:
        """Whether each step of width was given up, ``[N, G] -> [N, steps]``."""
        return (plans[:, self._places] < self._wider).astype(np.float64)


def _steps(problem: PruningProblem, choice: Choice) -> FloatArray:
    """By how much the error rises from each level to the next lower one, on one scale for all kinds."""
    curve = problem.evaluator.error_curve(choice) * HARM[choice.kind]
    return np.asarray(np.maximum(curve[:-1] - curve[1:], 1e-6))


class LossModel:
    """:class:`AdditiveLoss`, corrected by a Gaussian process on what it leaves over.

    The process (Rasmussen and Williams 2006, Matern 3/2 on the square roots of keep ratios) learns which decisions
    matter together, and says how sure it is. Length and noise are those of highest marginal likelihood.
    """

    def __init__(self, problem: PruningProblem, prior_weight: float = PRIOR_WEIGHT, residuals: bool = True) -> None:
        self._additive = AdditiveLoss(problem, prior_weight)
        self._full = problem.space.full.astype(np.float64)
        self._residuals = residuals
        self._known: FloatArray | None = None
        self._chosen: tuple[float, float] = (LENGTHS[0], NOISES[0])
        self._fitted_at = 0

    def fit(self, plans: IntArray, losses: FloatArray) -> None:
        """Learn from plans ``[N, G]`` and their losses ``[N]``, all above 0."""
        self._additive.fit(plans, losses)
        self._known = None
        if not self._residuals or len(plans) < FEWEST_FOR_RESIDUALS:
            return
        self._known = self._places(plans)
        left = np.log(losses) - self._additive(plans)
        self._mean = float(left.mean())
        self._solve(left - self._mean)

    def _solve(self, left: FloatArray) -> None:
        assert self._known is not None  # fit has just set it
        distances = _distances(self._known, self._known)
        if len(left) >= self._fitted_at + REFIT_EVERY or len(left) < self._fitted_at:
            self._fitted_at = len(left)
            pairs = [(length, noise) for length in LENGTHS for noise in NOISES]
            self._chosen = max(pairs, key=lambda pair: _likelihood(distances, left, *pair))
        self._factor, self._weights, self._variance = _posterior(distances, left, *self._chosen)

    def predict(self, plans: IntArray) -> tuple[FloatArray, FloatArray]:
        """Expected logarithm of the loss, and its standard deviation, of plans ``[N, G]``; each ``[N]``."""
        expected = self._additive(plans)
        if self._known is None:
            return expected, np.zeros(len(plans))
        kernel = _matern(_distances(self._places(plans), self._known) / self._chosen[0])
        solved = linalg.solve_triangular(self._factor, kernel.T, lower=True, check_finite=False)
        spread = np.sqrt(np.maximum(1.0 - (solved**2).sum(axis=0), 1e-6) * self._variance)
        return expected + self._mean + kernel @ self._weights, spread

    def _places(self, plans: IntArray) -> FloatArray:
        return np.asarray(np.sqrt(plans / self._full))


def _distances(left: FloatArray, right: FloatArray) -> FloatArray:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _matern(distances: FloatArray) -> FloatArray:
    scaled = np.sqrt(3) * distances
    return np.asarray((1 + scaled) * np.exp(-scaled))


def _posterior(
    distances: FloatArray, left: FloatArray, length: float, noise: float
) -> tuple[FloatArray, FloatArray, float]:
    """Cholesky factor, weights and signal variance."""
    kernel = _matern(distances / length)
    kernel[np.diag_indices_from(kernel)] += noise
    factor = linalg.cholesky(kernel, lower=True, check_finite=False)
    weights = linalg.cho_solve((factor, True), left, check_finite=False)
    return factor, weights, float(left @ weights / len(left)) + 1e-6


def _likelihood(distances: FloatArray, left: FloatArray, length: float, noise: float) -> float:
    """Logarithm of the marginal likelihood, the variance set to its best value; constants left out."""
    factor, _, variance = _posterior(distances, left, length, noise)
    return float(-0.5 * len(left) * np.log(variance) - np.log(np.diag(factor)).sum())
