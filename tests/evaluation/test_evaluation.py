from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from rlprune.errors import NetworkError, TaskError
from rlprune.evaluation import evaluator as evaluation
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import WORST_DIVERGENCE, Evaluator
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.answers import scored_tensor
from rlprune.tasks.base import Task
from rlprune.tasks.batches import even_batches
from rlprune.tasks.split import Split
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
    return Evaluator(PruningTables(network, task.calibration), task, samples=64, statistics=StatisticsChoice(1.0))


def test_the_dense_network_agrees_with_itself(evaluator: Evaluator) -> None:
    dense = evaluator.tables.network.dense_widths
    quality = evaluator(dense)
    assert quality.divergence == pytest.approx(0, abs=1e-6)
    assert quality.samples == 64
    plain = Evaluator(evaluator.tables, evaluator.task, samples=64, statistics=StatisticsChoice(0.0))(dense)
    assert plain.score == 1.0
    assert plain.divergence == pytest.approx(0, abs=1e-6)


def test_a_known_plan_is_not_run_again(evaluator: Evaluator) -> None:
    before, hits = evaluator.evaluations, evaluator.cache_hits
    first = evaluator([4, 4, 8, 8])
    assert evaluator.known([4, 4, 8, 8])
    assert evaluator([4, 4, 8, 8]) is first
    assert (evaluator.evaluations, evaluator.cache_hits) == (before + 1, hits + 1)


def test_outputs_are_those_that_a_plan_is_scored_by(evaluator: Evaluator) -> None:
    widths, before = [5, 4, 8, 8], evaluator.evaluations
    outputs = evaluator.outputs(widths)
    assert (evaluator.evaluations, evaluator.known(widths)) == (before + 1, False)
    assert evaluator(widths).score == evaluator.task.score(outputs, evaluator.task.validation.take(64).targets)


def test_evaluating_equals_running_the_pruned_module(evaluator: Evaluator) -> None:
    widths = [6, 2, 12, 8]
    plain = Evaluator(evaluator.tables, evaluator.task, samples=64, statistics=StatisticsChoice(0.0))
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
        != Evaluator(evaluator.tables, evaluator.task, samples=64, statistics=StatisticsChoice(0.0))(widths).divergence
    )


@pytest.mark.parametrize("samples", [1, 31, 33])
def test_any_number_of_samples_works(evaluator: Evaluator, samples: int) -> None:
    few = Evaluator(evaluator.tables, evaluator.task, samples=samples)
    assert few([4, 4, 8, 8]).samples == samples
    assert few(few.tables.network.dense_widths).divergence == pytest.approx(0, abs=1e-6)


def test_the_clock_is_read_once_an_accelerator_is_done(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    run, clock = evaluation.scored_rows, evaluation.time.perf_counter
    monkeypatch.setattr(evaluation, "scored_rows", lambda *given: (events.append("run"), run(*given))[1])
    monkeypatch.setattr(evaluation.time, "perf_counter", lambda: (events.append("clock"), clock())[1])
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: events.append(f"wait for {device}"))
    monkeypatch.setattr(evaluator.tables, "device", torch.device("cuda", 0))
    evaluator.measure((6, 2, 12, 8))
    assert events == ["wait for cuda:0", "clock", "run", "wait for cuda:0", "clock"]
    events.clear()
    monkeypatch.undo()
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: events.append(f"wait for {device}"))
    evaluator.measure((6, 2, 12, 8))
    assert events == []


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
    fresh = Evaluator(evaluator.tables, evaluator.task, samples=64, statistics=StatisticsChoice(1.0))
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
    """Takes its images by name and answers with what ``form`` makes of the logits."""

    def __init__(self, form: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.inner = build("residual")
        self.form = form

    def forward(self, scale: float = 1.0, *, images: torch.Tensor) -> Any:
        return self.form(self.inner(scale * images))


def named_task(network: Network, *, test_label: int = 0) -> Task:
    def split(seed: int, count: int, label: int | None = None) -> Split:
        inputs = {"images": images(count, seed)}
        with torch.no_grad():
            labels = scored_tensor(network.model(**inputs)).argmax(1)
        return Split(inputs, labels if label is None else torch.full_like(labels, label))

    return Task("named", calibration=split(1, 128), validation=split(2, 96), test=split(3, 32, test_label))


def logits_and_more(logits: torch.Tensor) -> dict[str, Any]:
    return {"loss": None, "features": logits.exp(), "logits": logits}


@pytest.mark.parametrize("form", [logits_and_more, lambda logits: (logits, (logits.exp(),))])
def test_named_inputs_and_rich_answers_score_as_plain_ones(form: Callable[[torch.Tensor], Any]) -> None:
    network = Network(Wrapped(form), {"images": images(1)})
    task = named_task(network)
    evaluator = Evaluator(PruningTables(network, task.calibration), task, samples=64)
    plain = Network(build("residual"), images(1))
    plain_task = make_task(plain)
    same = Evaluator(PruningTables(plain, plain_task.calibration), plain_task, samples=64)
    assert evaluator.dense == same.dense
    assert evaluator([4, 4, 8, 8]) == same([4, 4, 8, 8])
    assert evaluator.finalist([4, 4, 8, 8]) == same.finalist([4, 4, 8, 8])


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda logits: {"a": logits, "b": logits}, r"it returned dict with a \(Tensor\), b \(Tensor\)"),
        (lambda logits: logits.T, r"one row for each sample, samples first; float32 \[10, 96\] came for 96 samples"),
        (lambda logits: logits.sum(), "one row for each sample"),
    ],
)
def test_answers_that_cannot_be_scored_are_refused(form: Callable[[torch.Tensor], Any], message: str) -> None:
    network = Network(Wrapped(lambda logits: logits), {"images": images(1)})
    task = named_task(network)
    tables = PruningTables(network, task.calibration)
    evaluator = Evaluator(tables, task)
    with pytest.raises(NetworkError, match=message):
        evaluator.score(Wrapped(form), task.validation)


def test_test_labels_beyond_the_outputs_surface_before_the_search() -> None:
    network = Network(Wrapped(lambda logits: logits), {"images": images(1)})
    task = named_task(network, test_label=10)
    with pytest.raises(TaskError, match=r"Labels must be in \[0, 10\); sample 0 of the test split of task 'named' has"):
        Evaluator(PruningTables(network, task.calibration), task)
    assert "test" not in task.loaded


def test_another_metric_may_have_other_test_targets() -> None:
    class Own(Task):
        def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
            return float((outputs.argmax(1) == targets).double().mean())

    network = Network(build("residual"), images(1))
    plain = make_task(network)
    test = Split(images(8, 3), torch.full((8,), -100))
    task = Own("own", calibration=plain.calibration, validation=plain.validation, test=test)
    assert Evaluator(PruningTables(network, task.calibration), task).dense.score == 1.0


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
