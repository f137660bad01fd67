"""Networks of transformers from their configuration to a pruned network: groups, tables, evaluation, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.verifying import verify_onnx
from rlprune.evaluation.evaluator import Evaluator
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import Split, Task, load_task
from rlprune.zoo import resolve_network

pytest.importorskip("transformers")

VIT = (
    "hf:vit?num_labels=10&image_size=8&patch_size=2&num_channels=1"
    "&hidden_size=32&num_hidden_layers=2&num_attention_heads=4&intermediate_size=64"
)
BERT = (
    "hf:bert?vocab_size=30&hidden_size=32&num_hidden_layers=1&num_attention_heads=4&intermediate_size=64"
    "&num_labels=3&sequence_length=12"
)


def halved(network: Network, names: str) -> list[int]:
    """Half of every group with ``names`` in its name, all of the others."""
    return [
        min(group.widths, key=lambda width: abs(width - group.width / 2)) if names in group.name else group.width
        for group in network.groups
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer that learned the digits for a moment, saved as transformers saves it."""
    model, data = resolve_network(VIT).model.train(), load_task("digits").train
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(12):
            for chosen in torch.randperm(len(data), generator=generator).split(64):
                loss = torch.nn.functional.cross_entropy(model(data.tensors[0][chosen]).logits, data.targets[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    folder = tmp_path_factory.mktemp("vit")
    model.save_pretrained(folder)  # type: ignore[operator]
    return folder


def test_a_vision_transformer_on_digits(trained: Path) -> None:
    loaded = resolve_network(f"hf:{trained}")
    network, task = Network(loaded.model, loaded.example_inputs), load_task("digits")
    evaluator = Evaluator(PruningTables(network, task.calibration), task)
    assert evaluator.dense.score > 0.7
    assert evaluator.dense.divergence == pytest.approx(0, abs=1e-9)
    widths = halved(network, "fc1")
    assert network.macs(widths)[0] < 0.85 * network.macs(network.dense_widths)[0]
    quality = evaluator(widths)
    assert evaluator.dense.score - 0.2 < quality.score
    assert 0 < quality.divergence < 0.5
    pruned = evaluator.repaired(widths)
    assert evaluator.on(pruned, task.validation).divergence == pytest.approx(quality.divergence, rel=1e-3)
    assert pruned.vit.layers[0].mlp.fc1.out_features == 32  # type: ignore[union-attr, index]
    verify_onnx(export_onnx_bytes(pruned, network.example_inputs), pruned, network.example_inputs)


def text_task(model: torch.nn.Module) -> Task:
    def split(count: int, seed: int) -> Split:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(1, 30, (count, 12), generator=generator)
        mask = (torch.arange(12) < torch.randint(4, 13, (count, 1), generator=generator)).long()
        inputs = {"attention_mask": mask, "input_ids": ids * mask}  # not in the order of forward
        with torch.no_grad():
            labels = model(**inputs).logits.argmax(1)
        return Split(inputs, labels)

    return Task("words", calibration=split(96, 1), validation=split(64, 2), test=split(16, 3), classes=3)


def test_a_text_network_takes_its_samples_by_name() -> None:
    loaded = resolve_network(BERT)
    network, task = Network(loaded.model, loaded.example_inputs), text_task(loaded.model)
    evaluator = Evaluator(PruningTables(network, task.calibration), task)
    assert evaluator.dense.score == 1.0
    widths = halved(network, "intermediate")
    assert sum(widths) < sum(network.dense_widths)
    quality = evaluator(widths)
    pruned = evaluator.tables.pruned(widths).eval()
    with torch.no_grad():
        outputs = pruned(**task.validation.arguments).logits
    assert quality.score == task.score(outputs, task.validation.targets)
    wanted = task.divergence(outputs, loaded.model(**task.validation.arguments).logits.detach())
    np.testing.assert_allclose(quality.divergence, wanted, rtol=1e-3)
