"""Train a network of the zoo: ``python -m rlprune.zoo.train NAME``.

It trains on the task's ``train`` split, which leaves out the validation images, so that a search is scored on images
that the network has never seen. Test accuracy is measured once, after the last step.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rlprune.errors import NetworkError, RlpruneError
from rlprune.support.files import read_json, write_atomic, write_json
from rlprune.support.progress import Bar
from rlprune.tasks import Split, Task, load_task
from rlprune.tasks.overlap import split_digest
from rlprune.zoo.registry import INDEX, ZooEntry, zoo_entry

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Recipe:
    """How one network is trained: SGD with Nesterov momentum, one cycle of the rate (Smith 2018, arXiv:1803.09820)."""

    epochs: int
    peak_rate: float = 0.2
    batch: int = 128
    weight_decay: float = 5e-4
    momentum: float = 0.9
    label_smoothing: float = 0.05
    shift: int = 2  # pixels
    flip: bool = True
    seed: int = 1


RECIPES = {
    "digits-resnet": Recipe(epochs=40, peak_rate=0.05, batch=64, shift=1, flip=False),
    "fashion-dense": Recipe(epochs=20, peak_rate=0.1, shift=0, flip=False),
    "fashion-resnet20": Recipe(epochs=12),
    "fashion-vgg": Recipe(epochs=9, peak_rate=0.1),
    "fashion-mobilenet": Recipe(epochs=10),
}


def augment(images: torch.Tensor, shift: int, flip: bool, generator: torch.Generator) -> torch.Tensor:
    """Move each image by up to ``shift`` pixels, its edge repeated, and mirror half of them; [N, C, H, W] stays."""
    count, _, height, width = images.shape
    moves = torch.randint(-shift, shift + 1, (2, count, 1), generator=generator)
    rows = (torch.arange(height) + moves[0]).clamp_(0, height - 1)
    columns = (torch.arange(width) + moves[1]).clamp_(0, width - 1)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    sample = torch.arange(count)[:, None, None]
    return images.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def batches(split: Split, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Augmented batches of one epoch in random order; the rest that fills no batch is left out."""
    images, labels = split.tensors[0], split.targets
    for chosen in torch.split(torch.randperm(len(split), generator=generator), recipe.batch):
        if len(chosen) == recipe.batch:
            yield augment(images[chosen], recipe.shift, recipe.flip, generator), labels[chosen]


def fit(model: nn.Module, split: Split, recipe: Recipe) -> None:
    """Train ``model`` in place; the same recipe gives the same weights on the same machine and number of threads."""
    generator = torch.Generator().manual_seed(recipe.seed)
    steps = len(split) // recipe.batch
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.peak_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_rate, epochs=recipe.epochs, steps_per_epoch=steps
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    model.train()
    with Bar("train", recipe.epochs * steps, unit="steps", stays=True) as progress:
        told = ""
        for epoch in range(recipe.epochs):
            for images, labels in batches(split, recipe, generator):
                optimizer.zero_grad()
                loss = loss_of(model(images.contiguous(memory_format=torch.channels_last)), labels)
                loss.backward()
                optimizer.step()
                schedule.step()
                progress.step(told)
            told = f"epoch {epoch + 1}, loss {float(loss.detach()):.3f}"


def accuracy(model: nn.Module, task: Task, split: Split) -> float:
    """The task's score of the network on a whole split."""
    model.eval()
    with torch.inference_mode():
        outputs = [model(images) for images in torch.split(split.tensors[0], EVALUATION_BATCH)]
    return task.score(torch.cat(outputs), split.targets)


def count_macs(model: nn.Module, inputs: torch.Tensor) -> int:
    """Multiply-adds of the convolutions and linear layers for one sample; ``inputs`` is [1, ...]."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.eval()(inputs)
    return int(counter.get_total_flops()) // 2


def trained(entry: ZooEntry, recipe: Recipe, split: Split) -> nn.Module:
    """A network trained on a split, in eval mode."""
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights from the global generator
        torch.manual_seed(recipe.seed)
        model = _in_format(entry.build(), torch.channels_last)
    fit(model, split, recipe)
    return _in_format(model, torch.contiguous_format).eval()


def train(entry: ZooEntry, recipe: Recipe, task: Task) -> tuple[nn.Module, dict[str, Any]]:
    """Train and measure one network of the zoo.

    Returns:
        The network in eval mode, and the record for the index.
    """
    split, start = task.train, time.monotonic()
    model = trained(entry, recipe, split)
    seconds = time.monotonic() - start
    record = {
        "task": task.name,
        "test_accuracy": round(accuracy(model, task, task.test), 6),
        "validation_accuracy": round(accuracy(model, task, task.validation), 6),
        "macs": count_macs(model, entry.example_inputs()[0]),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "samples": {name: len(getattr(task, name)) for name in ("train", "calibration", "validation", "test")},
        "recipe": asdict(recipe),
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "validation_sha256": split_digest(task.validation),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    return model, record


def _in_format(model: nn.Module, memory_format: torch.memory_format) -> nn.Module:
    return model.to(memory_format=memory_format)  # type: ignore[call-overload,no-any-return]  # missing in its hints


def save_network(folder: Path, name: str, model: nn.Module, record: dict[str, Any]) -> None:
    """Write the weights, then their record into the folder's index, which keeps the records of the other networks."""
    content = save({key: value.contiguous() for key, value in model.state_dict().items()})
    write_atomic(folder / f"{name}.safetensors", content, NetworkError)
    path = folder / INDEX
    index = read_json(path, NetworkError) if path.exists() else {}
    index[name] = {**record, "sha256": hashlib.sha256(content).hexdigest()}
    write_json(path, dict(sorted(index.items())), NetworkError)


def parser() -> argparse.ArgumentParser:
    """The parser of this script's command line."""
    arguments = argparse.ArgumentParser(prog="python -m rlprune.zoo.train", description="Train a network of the zoo.")
    arguments.add_argument("name", help=f"one of {', '.join(RECIPES)}")
    arguments.add_argument("--epochs", type=int, help="default: the recipe's")
    arguments.add_argument("--seed", type=int, help="default: the recipe's")
    arguments.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    arguments.add_argument("--out", type=Path, default=Path("zoo-weights"), help="folder (default: zoo-weights)")
    arguments.add_argument("--data-dir", type=Path, help="folder of the data set's files")
    return arguments


def run(options: argparse.Namespace) -> None:
    """Train the networks that the command line names."""
    entry = zoo_entry(options.name)
    changes = {key: getattr(options, key) for key in ("epochs", "seed") if getattr(options, key) is not None}
    recipe = Recipe(**{**asdict(RECIPES[entry.name]), **changes})
    if recipe.epochs < 1 or options.threads < 1:
        raise NetworkError(f"Epochs and threads must be at least 1; got {recipe.epochs} and {options.threads}.")
    torch.set_num_threads(options.threads)
    model, record = train(entry, recipe, load_task(entry.task, options.data_dir))
    save_network(options.out, entry.name, model, record)
    size = f"{record['macs']} MACs, {record['params']} parameters"
    print(f"{entry.name}: test accuracy {record['test_accuracy']:.4f}, {size}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 2 after a user's error."""
    try:
        run(parser().parse_args(arguments))
    except RlpruneError as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
