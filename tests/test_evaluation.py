from __future__ import annotations

import pytest
import torch
from torch import nn

from rlprune.errors import NetworkError, TaskError
from rlprune.evaluation import WORST_DIVERGENCE, Evaluator
from rlprune.network import Network
from rlprune.pruning.tables import PruningTables, even_batches
from rlprune.tasks.base import Split, Task
from tests.models import build, images


def make_task(network: Network, shape: tuple[int, ...] = (1, 8, 8)) -> Task:
    def split(seed: int, count: int) -> Split:
        inputs = images(count, seed) if shape == (1, 8, 8) else torch.zeros(count, *shape)
        with torch.no_grad():
            labels = network.model(images(count, seed)).argmax(1)
        return Split(inputs, labels)

    return Task("toy", calibration=split(1, 128), validation=split(2, 96), test=split(3, 32), classes=10)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    network = Network(build("residual"), images(1))
    task = make_task(network)
    return Evaluator(PruningTables(network, task.calibration), task, samples=64, batch_statistics=True)


def test_the_dense_network_agrees_with_itself(evaluator: Evaluator) -> None:
    dense = evaluator.tables.network.dense_widths
    quality = evaluator(dense)
    assert quality.divergence == pytest.approx(0, abs=1e-6)
    assert quality.samples == 64
    plain = Evaluator(evaluator.tables, evaluator.task, samples=64, batch_statistics=False)(dense)
    assert plain.score == 1.0
    assert plain.divergence == pytest.approx(0, abs=1e-6)


def test_a_known_plan_is_not_run_again(evaluator: Evaluator) -> None:
    before, hits = evaluator.evaluations, evaluator.cache_hits
    first = evaluator([4, 4, 8, 8])
    assert evaluator.known([4, 4, 8, 8])
    assert evaluator([4, 4, 8, 8]) is first
    assert (evaluator.evaluations, evaluator.cache_hits) == (before + 1, hits + 1)


def test_evaluating_equals_running_the_pruned_module(evaluator: Evaluator) -> None:
    widths = [6, 2, 12, 8]
    plain = Evaluator(evaluator.tables, evaluator.task, samples=64, batch_statistics=False)
    quality = plain(widths)
    apart = plain.on(plain.tables.pruned(widths).eval(), plain.task.validation.take(64))
    assert quality.score == apart.score
    assert quality.divergence == pytest.approx(apart.divergence, rel=1e-4)


def test_batch_statistics_equal_normalising_by_the_search_batch(evaluator: Evaluator) -> None:
    """What a plan is scored with is what re-estimation on exactly the search samples would give."""
    widths = [6, 2, 12, 8]
    split = evaluator.task.validation.take(64)
    model = evaluator.tables.pruned(widths).eval()
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.train()
    with torch.no_grad():
        outputs = model(*split.tensors)
    assert evaluator(widths).score == evaluator.task.score(outputs, split.targets)
    assert (
        evaluator(widths).divergence
        != Evaluator(evaluator.tables, evaluator.task, samples=64, batch_statistics=False)(widths).divergence
    )


@pytest.mark.parametrize("samples", [1, 31, 33])
def test_any_number_of_samples_works(evaluator: Evaluator, samples: int) -> None:
    few = Evaluator(evaluator.tables, evaluator.task, samples=samples)
    assert few([4, 4, 8, 8]).samples == samples
    assert few(few.tables.network.dense_widths).divergence == pytest.approx(0, abs=1e-6)


def test_order_of_evaluation_does_not_matter() -> None:
    network = Network(build("residual"), images(1))
    task = make_task(network)
    plans = [[2, 8, 4, 16], [8, 2, 16, 4], [4, 4, 8, 8]]
    forth = Evaluator(PruningTables(network, task.calibration), task)
    back = Evaluator(PruningTables(network, task.calibration), task)
    assert [forth(plan) for plan in plans] == [back(plan) for plan in reversed(plans)][::-1]


def test_finalists_use_all_validation_samples_and_leave_the_search_alone(evaluator: Evaluator) -> None:
    before = evaluator([4, 6, 8, 8])
    assert evaluator.finalist([4, 6, 8, 8]).samples == 96
    fresh = Evaluator(evaluator.tables, evaluator.task, samples=64, batch_statistics=True)
    assert fresh([4, 6, 8, 8]) == before


def test_test_images_are_not_touched(evaluator: Evaluator) -> None:
    evaluator.finalist([4, 4, 4, 4])
    assert "test" not in evaluator.task.loaded


def test_samples_the_network_cannot_take_are_named() -> None:
    network = Network(build("residual"), images(1))
    with pytest.raises(NetworkError, match="calibration samples"):
        PruningTables(network, make_task(network, (3, 8, 8)).calibration)


def test_infinite_outputs_are_the_worst_and_not_the_best(evaluator: Evaluator) -> None:
    class Overflowing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((len(x), 10), torch.inf)

    assert evaluator.on(Overflowing(), evaluator.task.validation).divergence == WORST_DIVERGENCE


@pytest.mark.parametrize(("samples", "sizes"), [(5, [2, 3]), (4, [4]), (9, [3, 3, 3]), (13, [3, 3, 3, 4])])
def test_batches_for_statistics_are_even(samples: int, sizes: list[int]) -> None:
    split = Split(torch.arange(samples), torch.arange(samples))
    found = [inputs[0] for inputs in even_batches(split, 4, torch.device("cpu"))]
    assert [len(batch) for batch in found] == sizes
    assert torch.equal(torch.cat(found), split.targets)


def test_no_batch_of_one_sample_reaches_a_batchnorm() -> None:
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 3)), torch.randn(2, 8))

    def split(count: int) -> Split:
        return Split(torch.randn(count, 8), torch.zeros(count, dtype=torch.long))

    task = Task("rows", calibration=split(129), validation=split(40), test=split(8), classes=3)
    evaluator = Evaluator(PruningTables(network, task.calibration), task)
    assert evaluator.finalist([8]).samples == 40


class Wrapped(nn.Module):
    """Answers with a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = build("residual")

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.inner(x)}


def test_an_answer_that_is_no_tensor_is_refused() -> None:
    network = Network(Wrapped(), images(1))
    task = make_task(Network(build("residual"), images(1)))
    with pytest.raises(NetworkError, match="one tensor, samples first; it returned dict"):
        Evaluator(PruningTables(network, task.calibration), task)


@pytest.mark.parametrize("method", ["score", "divergence"])
@pytest.mark.parametrize("value", [float("nan"), None, "good"])
def test_a_measure_that_is_no_number_is_refused(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, method: str, value: object
) -> None:
    monkeypatch.setattr(evaluator.task, method, lambda *_: value)
    with pytest.raises(TaskError, match=f"The {method} of task 'toy' must be a finite number"):
        Evaluator(evaluator.tables, evaluator.task, samples=64)


class Viewing(nn.Module):
    """``view`` behind a convolution refuses channels-last tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8 * 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(x.view(len(x), -1))


def test_the_memory_layout_is_the_fast_one_where_the_network_takes_it(evaluator: Evaluator) -> None:
    assert evaluator.tables.channels_last
    network = Network(Viewing(), images(2))
    task = make_task(network)
    viewing = Evaluator(PruningTables(network, task.calibration), task, samples=64)
    assert not viewing.tables.channels_last
    assert viewing(network.dense_widths).divergence == pytest.approx(0, abs=1e-6)
    assert viewing.finalist([4, 4]).samples == 96


def test_delivered_networks_are_stored_in_the_usual_layout(evaluator: Evaluator) -> None:
    assert all(p.is_contiguous() for p in evaluator.repaired([4, 4, 8, 8]).parameters())
