"""Ways to prune the weights of a small network to a given number: what each layer keeps, which, how it is mended."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from rlprune.agents import best_outcomes, make_searcher
from rlprune.budgets.limits import Budget
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs import WeightsCost
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.networks.network import Network
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.treatment import PlanTensors
from rlprune.pruning.calibration import gather
from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.sparse_repair import sparse_repaired
from rlprune.pruning.statistics import LayerStatistics
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.thresholds import WeightPruningStrategy
from rlprune.pruning.weights import (
    UNSTRUCTURED,
    Replacement,
    mask_of_density,
    pruned,
    uniform_densities,
)
from rlprune.tasks import Split, Task

SHARES = tuple(step / 10 for step in range(3, 11))
"""Of the last layer's weights: what a search over densities tries."""
AGENT, EPISODES = "ddpg", 60


class Case:
    """A trained network of linear layers, what its layers read, and the samples that choices are made on.

    Args:
        model: in eval mode.
        task: calibration samples give the second moments; validation samples are scored.
        seed: of the sampling.

    Attributes:
        weights: layer name -> weight, in forward order.
    """

    def __init__(self, model: nn.Module, task: Task, seed: int = 0) -> None:
        self.model, self.task, self.seed = model, task, seed
        self.network = network = Network(model, task.calibration.batch(0, 1))
        tensors = {key: value.detach() for key, value in model.state_dict().items()}
        self.layers = {layer.name: layer for layer in network.layers if layer.kind == "linear"}
        self.weights: dict[str, torch.Tensor] = {name: tensors[f"{name}.weight"] for name in self.layers}
        self.statistics = {name: LayerStatistics(Coefficients.of(item, tensors)) for name, item in self.layers.items()}
        gather(network, dict(self.statistics), task.calibration, seed, torch.device("cpu"))
        self._dense_outputs = outputs(model, task.validation)

    @cached_property
    def tables(self) -> PruningTables:
        """What the search of an agent is built on."""
        return PruningTables(self.network, self.task.calibration, seed=self.seed)

    @property
    def entries(self) -> int:
        """Weights of all layers, biases not counted."""
        return sum(weight.numel() for weight in self.weights.values())

    @property
    def rms(self) -> float:
        """Root mean square of all weights: the unit of thresholds."""
        return float(torch.cat([weight.flatten() for weight in self.weights.values()]).square().mean().sqrt())

    def divergence(self, model: nn.Module) -> float:
        """From the dense network, on the validation samples."""
        return self.task.divergence(outputs(model, self.task.validation), self._dense_outputs)

    def accuracy(self, model: nn.Module, split: Split) -> float:
        """The task's score."""
        return self.task.score(outputs(model, split), split.targets)


def outputs(model: nn.Module, split: Split) -> torch.Tensor:
    """Of all samples at once: the networks here are small."""
    with torch.inference_mode():
        return model(split.tensors[0])  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Pruned:
    """A pruned network, and by layer the entries that remain."""

    model: nn.Module
    masks: dict[str, torch.Tensor]

    @property
    def densities(self) -> dict[str, float]:
        """By layer."""
        return {name: float(mask.double().mean()) for name, mask in self.masks.items()}

    @property
    def remaining(self) -> int:
        """Entries of all layers that remain."""
        return sum(int(mask.sum()) for mask in self.masks.values())


@dataclass(frozen=True)
class Method:
    """One way to prune.

    Attributes:
        name: in tables.
        densities: gives each layer's density, from the case, how many weights shall remain, and the method.
        replacement: what removed entries become.
        by_input: the largest |w| rms(input) remain (Wanda: Sun et al., arXiv:2306.11695), not the largest |w|.
        refitted: what remains is refitted by least squares (:mod:`rlprune.pruning.sparse_repair`).
    """

    name: str
    densities: Callable[[Case, int, Method], Mapping[str, float]]
    replacement: Replacement = "zero"
    by_input: bool = False
    refitted: bool = False

    def prune(self, case: Case, remaining: int) -> Pruned:
        """The network with that many weights, up to rounding in each layer."""
        return self.apply(case, self.densities(case, remaining, self))

    def apply(self, case: Case, densities: Mapping[str, float]) -> Pruned:
        """The network with these densities of its layers."""
        model = copy.deepcopy(case.model)
        tensors, masks = model.state_dict(), {}
        for name, weight in case.weights.items():
            masks[name] = mask_of_density(self._scores(case, name), densities[name], UNSTRUCTURED, in_dim=1)
            tensors[f"{name}.weight"].copy_(pruned(weight, masks[name], self.replacement))
            if self.refitted:
                refit, bias = sparse_repaired(case.statistics[name], masks[name])
                tensors[f"{name}.weight"].copy_(refit)
                if bias is not None:
                    tensors[f"{name}.bias"].copy_(bias)
        return Pruned(model, masks)

    def _scores(self, case: Case, name: str) -> torch.Tensor:
        weight, statistics = case.weights[name], case.statistics[name]
        if not self.by_input:
            return weight
        moments = statistics.matrix[0].diagonal()[len(statistics.coefficients.constant) :]
        return weight.mul(moments.sqrt())


def one_threshold(case: Case, remaining: int, method: Method) -> dict[str, float]:
    """What one threshold for all layers leaves: the smallest that leaves at most so many."""
    magnitudes = torch.cat([weight.abs().flatten() for weight in case.weights.values()])
    threshold = float(magnitudes.sort(descending=True).values[remaining])
    return WeightPruningStrategy(threshold, method.replacement).shares(case.weights)


def uniform(case: Case, remaining: int, method: Method) -> dict[str, float]:
    """The same density in every layer."""
    return uniform_densities(case.weights, remaining / case.entries)


def searched(case: Case, remaining: int, method: Method) -> dict[str, float]:
    """The density of the last layer by line search on the divergence of the validation samples; the rest follows.

    For two layers this is the whole space of densities, up to the grid: what no other search can better by much.
    """
    first, last = case.weights
    candidates = [dict(uniform(case, remaining, method))]
    for share in SHARES:
        kept = round(share * case.weights[last].numel())
        if kept < remaining:
            density = min(1.0, (remaining - kept) / case.weights[first].numel())
            candidates.append({first: density, last: kept / case.weights[last].numel()})
    return min(candidates, key=lambda densities: case.divergence(method.apply(case, densities).model))


def learned(case: Case, remaining: int, method: Method) -> dict[str, float]:
    """Densities in whole percents by an agent, from the divergence of the validation samples.

    What rounding to percents leaves of the weights goes to the first layer.
    """
    problem = agent_problem(case, remaining, method.refitted)
    result = make_searcher(AGENT).search(LayerPruningEnv(problem), EPISODES, case.seed)
    levels = best_outcomes(result.episodes, 1)[0].levels
    shares = problem.space.density(levels[None])[0]
    densities = {layer.name: float(share) for layer, share in zip(case.network.layers, shares, strict=True)}
    first, *others = case.weights
    kept = sum(round(densities[name] * case.weights[name].numel()) for name in others)
    return densities | {first: min(1.0, (remaining - kept) / case.weights[first].numel())}


def agent_problem(case: Case, remaining: int, refitted: bool) -> PruningProblem:
    """The densities of all layers, at most so many weights; plans are refitted before they are evaluated, or not."""
    space = Space(case.network, Decisions(kinds=("weights",), densities=range(1, 101)))
    builder = PlanBuilder(case.tables, space, case.task.calibration)
    if not refitted:
        builder.tensors = PlanTensors(case.tables, space)
    evaluator = Evaluator(case.tables, case.task, samples=len(case.task.validation), space=space, builder=builder)
    budget = Budget("weights", remaining, "weights")
    return PruningProblem(space, evaluator, {"weights": WeightsCost(space)}, [budget])


LOOP = Method("threshold", one_threshold)
REFERENCE = Method("densities searched, refitted", searched, refitted=True)
METHODS = (
    LOOP,
    Method("threshold, mean", one_threshold, replacement="mean"),
    Method("uniform density", uniform),
    Method("densities searched", searched),
    Method("threshold, refitted", one_threshold, refitted=True),
    REFERENCE,
    Method("Wanda order, searched, refitted", searched, by_input=True, refitted=True),
    Method("agent", learned),
    Method("agent, refitted", learned, refitted=True),
)
"""Another way is one more line here."""
