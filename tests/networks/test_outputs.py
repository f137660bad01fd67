"""What a network answers keeps its channels and their order, all of it unless outputs are named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import run_onnx
from rlprune.errors import NetworkError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.pipeline.delivering import network_files
from rlprune.experiments.pipeline.loading import make_network
from rlprune.experiments.pipeline.remarks import untouched
from rlprune.experiments.runs.run_folder import ONNX
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.networks.network import Network
from rlprune.networks.outputs import Named, everything, names_of
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import Split, Task

BOX = torch.tensor([10.0, 20.0, 30.0, 40.0])


class TwoHeads(nn.Module):
    """Classes and boxes; the biases of the box tell where each of its numbers stands."""

    def __init__(self, answer: Any = lambda classes, box, features: (classes, box)) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.classes, self.box = nn.Linear(32, 5), nn.Linear(32, 4)
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        features = self.second(self.first(x).relu()).relu().mean((2, 3))
        return self.answer(self.classes(features), self.box(features), features)


def two_heads(answer: Any = None) -> TwoHeads:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = TwoHeads(answer) if answer else TwoHeads()
        with torch.no_grad():
            made.box.bias.copy_(BOX)
    return made.eval()


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def task_of(model: nn.Module) -> Task:
    def split(seed: int) -> Split:
        with torch.no_grad():
            return Split(images(64, seed), model(images(64, seed))[0].argmax(1))

    return Task("shapes", calibration=split(1), validation=split(2), test=split(3), classes=5)


def evaluator_of(model: nn.Module, outputs: list[str]) -> Evaluator:
    network = make_network(model, images(2), NetworkConfig(outputs=outputs), 8)
    task = task_of(model)
    return Evaluator(PruningTables(network, task.calibration), task)


def test_a_head_that_no_score_reads_is_delivered_in_order() -> None:
    evaluator = evaluator_of(two_heads(), [])
    network = evaluator.tables.network
    assert {"classes", "box"} <= network.left_whole.keys()
    delivered = evaluator.delivered([group.widths[0] for group in network.groups])
    files = network_files(delivered, network, evaluator.task.calibration)
    classes, box = run_onnx(files.contents[ONNX], input_arrays(files.contents[ONNX], images(1), 1))
    assert (classes.shape, box.shape) == ((1, 5), (1, 4))
    np.testing.assert_allclose(box[0], BOX.numpy(), atol=2)


def test_uncut_tables_answer_what_the_dense_network_does() -> None:
    evaluator = evaluator_of(two_heads(), [])
    with torch.no_grad():
        for got, wanted in zip(evaluator.tables.permuted(images(4)), two_heads()(images(4)), strict=True):
            torch.testing.assert_close(got, wanted)


def test_one_sentence_tells_what_stays_for_an_output_that_is_not_scored_and_how_it_goes() -> None:
    told = untouched(evaluator_of(two_heads(), []))
    assert told[-1] == "Not scored, but kept whole: output 1, and for it box. --outputs 0 makes it free."
    freed = evaluator_of(two_heads(), ["0"])
    assert "box" in [group.name for group in freed.tables.network.groups]
    assert untouched(freed)[-1] == "May lose channels and change their order, as asked: output 1."


ANSWERS: dict[str, tuple[Any, list[str], list[str]]] = {
    "dict": (lambda c, b, f: {"logits": c, "box": b}, ["logits", "box"], ["logits"]),
    "nested": (lambda c, b, f: {"logits": c, "states": (f, b)}, ["logits", "states.0", "states.1"], ["logits"]),
    "alone": (lambda c, b, f: c, [""], [""]),
    "list": (lambda c, b, f: [c, None, b], ["0", "2"], ["0"]),
}


@pytest.mark.parametrize(("answer", "names", "scored"), ANSWERS.values(), ids=ANSWERS)
def test_outputs_have_names(answer: Any, names: list[str], scored: list[str]) -> None:
    network = Network(two_heads(answer), images(2))
    assert list(network.output_names) == names
    with torch.no_grad():
        given = network.model(images(2))
    task = Task("t", calibration=lambda: None, validation=lambda: None, test=lambda: None)  # type: ignore[arg-type, return-value]
    assert names_of(everything, given) == names
    assert names_of(task.outputs, given) == scored


def test_hidden_states_that_nobody_scores_make_nothing_unprunable_without_a_word() -> None:
    def answer(classes: torch.Tensor, box: torch.Tensor, features: torch.Tensor) -> Any:
        return {"logits": classes, "hidden": features}

    whole, freed = (Network(two_heads(answer), images(2), outputs=outputs) for outputs in (None, ["logits"]))
    assert whole.left_whole["second"] == "its channels are an output of the network (hidden)"
    assert "second" in [group.name for group in freed.groups]
    assert "first" in [group.name for group in whole.groups]


def test_names_may_be_patterns_and_must_mean_something() -> None:
    answer = {"logits": BOX, "states": (BOX, BOX)}
    assert list(Named(("states",))(answer)) == ["states.0", "states.1"]
    assert list(Named(("l*", "states.1"))(answer)) == ["logits", "states.1"]
    with pytest.raises(NetworkError, match=r"'boxes' is none of: logits, states\.0, states\.1"):
        Named(("boxes",))(answer)
    with pytest.raises(NetworkError, match=r"Outputs must be some that the network gives; '7' is none of: 0, 1\."):
        Network(two_heads(), images(2), outputs=["7"])


def test_what_no_gradient_tells_is_not_guessed() -> None:
    assert names_of(lambda answer: answer[0].argmax(1), (torch.randn(2, 3), torch.randn(2, 3))) == []
    assert names_of(lambda answer: answer, SimpleNamespace()) == []
    pair = (torch.randn(2, 3), torch.randn(2, 3))
    assert names_of(lambda answer: torch.from_numpy(answer[0].numpy()), pair) == []
    assert names_of(lambda answer: answer[1], pair) == ["1"]
    assert not any(tensor.requires_grad for tensor in pair)


class Bare(nn.Module):
    """All that could be pruned is an output."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> Any:
        hidden = self.first(x).relu()
        return self.second(hidden), hidden


def test_where_outputs_leave_nothing_to_prune_the_error_says_how_to_go_on() -> None:
    with pytest.raises(NetworkError, match="name the outputs that must stay"):
        Network(Bare().eval(), torch.randn(2, 8))
    assert [group.name for group in Network(Bare().eval(), torch.randn(2, 8), outputs=["0"]).groups] == ["first"]
