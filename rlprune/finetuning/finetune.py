"""A short fine-tune of a pruned network on the task's training samples: the same for every plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from rlprune.errors import ConfigError, NetworkError, TaskError, unknown_name
from rlprune.networks import layout
from rlprune.networks.inputs import call, map_tensors
from rlprune.networks.tensors import named_tensors
from rlprune.pruning.weights import check_mask
from rlprune.tasks.base import Task
from rlprune.tasks.split import Batch, Split, tensor_kind

FEWEST_SAMPLES = 2  # BatchNorm cannot normalise one


@dataclass(frozen=True)
class FineTuning:
    """How long and how fast a pruned network is trained.

    Attributes:
        steps: updates of the weights.
        rate: learning rate of the first step; it falls to 0 along half a cosine.
        batch: samples of one step.
        momentum: Nesterov's; 0 for none.
        weight_decay: of every parameter.
        seed: of the order of the samples, and of what the network itself draws, such as dropout.

    Raises:
        ConfigError: a setting is out of range.
    """

    steps: int = 200
    rate: float = 0.02
    batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0

    def __post_init__(self) -> None:
        rules = (
            ("steps", self.steps >= 1, "at least 1"),
            ("rate", 0 < self.rate < math.inf, "above 0 and finite"),
            ("batch", self.batch >= FEWEST_SAMPLES, f"at least {FEWEST_SAMPLES}, which BatchNorm needs"),
            ("momentum", 0 <= self.momentum < 1, "at least 0 and below 1"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0 and finite"),
            ("seed", 0 <= self.seed < 2**63, "at least 0 and below 2**63"),
        )
        for name, fits, rule in rules:
            if not fits:
                raise ConfigError(
                    f"Fine-tuning: {name} must be {rule}; {getattr(self, name)!r} came. "
                    f"Leave it out for {type(self).__dataclass_fields__[name].default!r}."
                )


def finetune(
    model: nn.Module, task: Task, settings: FineTuning, frozen: Mapping[str, torch.Tensor] | None = None
) -> nn.Module:
    """Train a network in place with the cross-entropy to the labels of ``task.train``.

    SGD on the device where the network lies, with channels last where it accepts them; it is stored in the usual layout
    afterwards. The same settings give the same weights on the same machine and number of threads. Parameters that ask
    for no gradient stay as they are. The global generators are left as they were.

    Args:
        model: answers with ``[N, classes, ...]`` by :meth:`Task.outputs`.
        task: with a train split of at least 2 samples, and labels ``[N, ...]``.
        settings: how long and how fast.
        frozen: names of parameters and which of their entries stay as they are, as for :func:`freeze`.

    Returns:
        The same ``model``, in eval mode.

    Raises:
        TaskError: the task has no train split or states no classes, or its labels do not fit the network's answer.
        NetworkError: no parameter asks for a gradient, the loss became NaN or infinite, or ``frozen`` does not fit.
    """
    split = _labelled(task)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise NetworkError(
            "Fine-tuning needs a parameter that asks for a gradient; this network has none. "
            "Call model.requires_grad_(True) before."
        )
    device = parameters[0].device
    channels_last = _prefers_channels_last(model.eval(), split, device)
    try:
        with _own_random_state(settings.seed, device), torch.enable_grad():
            model.train()
            optimizer = _optimizer(parameters, settings)
            freeze(optimizer, model, frozen or {})
            _fit(model, optimizer, task, _batches(split, settings, device, channels_last), settings)
    finally:
        layout.to_contiguous(model).eval().zero_grad(set_to_none=True)
    return model


def _labelled(task: Task) -> Split:
    """The train split, where cross-entropy to its labels means something."""
    if task.classes is None:
        raise TaskError(
            f"Fine-tuning minimises the cross-entropy to labels; task {task.name!r} states no number of classes. "
            "Give Task(...) its classes, or train the pruned network with a loss of your own."
        )
    split = task.train
    if len(split) < FEWEST_SAMPLES:
        raise TaskError(
            f"Fine-tuning needs at least {FEWEST_SAMPLES} samples; the train split of task {task.name!r} has "
            f"{len(split)}. Give it more."
        )
    return split


def _prefers_channels_last(model: nn.Module, split: Split, device: torch.device) -> bool:
    """Store a network on images with channels last if it runs that way."""
    if not any(parameter.dim() == 4 for parameter in model.parameters()):
        return False
    sample: Batch = map_tensors(lambda tensor: tensor.to(device), split.batch(0, FEWEST_SAMPLES))
    if layout.runs_channels_last(layout.to_channels_last(model), sample):
        return True
    layout.to_contiguous(model)
    return False


@contextmanager
def _own_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """What the network draws from the global generators comes from ``seed``; they are put back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for used in devices:
            with torch.cuda.device(used):
                torch.cuda.manual_seed(seed)
        yield


def _batches(
    split: Split, settings: FineTuning, device: torch.device, channels_last: bool
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Endless batches of equal size: every sample once in random order, but for a rest, then all again."""
    generator = torch.Generator().manual_seed(settings.seed)
    size = min(settings.batch, len(split))

    def chosen_of(tensor: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        taken = tensor[chosen.to(tensor.device)].to(device)
        return layout.as_channels_last(taken) if channels_last else taken

    while True:
        order = torch.randperm(len(split), generator=generator)
        for start in range(0, len(split) - size + 1, size):
            chosen = order[start : start + size]
            inputs: Batch = map_tensors(lambda tensor, rows=chosen: chosen_of(tensor, rows), split.arguments)  # type: ignore[misc]
            yield inputs, split.targets[chosen.to(split.targets.device)].to(device, torch.int64)


def freeze(optimizer: torch.optim.Optimizer, model: nn.Module, frozen: Mapping[str, torch.Tensor]) -> None:
    """Let an optimiser leave entries of a network as they are now, bit for bit, whatever its momentum and decay.

    Their gradients are 0, and their values are put back after every step.

    Args:
        optimizer: any, of this network's parameters.
        model: not to be moved or stored anew while the optimiser is in use, other than in another memory layout.
        frozen: parameter name -> bool, shaped as the parameter; True where an entry stays. Of a pruned weight this is
            the opposite of its mask: removed entries then keep their zero or their mean.

    Raises:
        NetworkError: the network has no such parameter, or a mask is not bool or of another shape.
    """
    tensors = dict(named_tensors(model))  # a masked weight may be a buffer
    held: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for name, mask in frozen.items():
        if name not in tensors:
            raise NetworkError(unknown_name("parameter", name, tensors))
        check_mask(tensors[name], mask)
        values = tensors[name].detach()
        held.append((tensors[name], mask.to(values.device), values.clone()))

    def without_gradient(*_: object) -> None:
        for parameter, mask, _values in held:
            if parameter.grad is not None:
                parameter.grad.masked_fill_(mask, 0)

    def put_back(*_: object) -> None:
        with torch.no_grad():
            for parameter, mask, values in held:
                parameter.copy_(torch.where(mask, values, parameter))

    optimizer.register_step_pre_hook(without_gradient)
    optimizer.register_step_post_hook(put_back)


def _optimizer(parameters: list[nn.Parameter], settings: FineTuning) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        parameters,
        lr=settings.rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )


def _fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    batches: Iterator[tuple[Batch, torch.Tensor]],
    settings: FineTuning,
) -> None:
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for step in range(settings.steps):
        inputs, labels = next(batches)
        loss = _cross_entropy(task, task.outputs(call(model, inputs)), labels)
        if not bool(torch.isfinite(loss)):
            raise NetworkError(
                f"Fine-tuning must keep the loss finite; it is {loss.item()} at step {step + 1} of {settings.steps} "
                f"with rate {settings.rate:g}. Choose a lower rate."
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _cross_entropy(task: Task, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    if outputs.ndim < 2 or outputs.shape[1] != task.classes or labels.shape[1:] != outputs.shape[2:]:
        raise TaskError(
            f"Fine-tuning needs outputs [N, {task.classes}, ...] and labels [N, ...]; the network of task "
            f"{task.name!r} gave {tensor_kind(outputs)} for {tensor_kind(labels)}. Is this the network for this task?"
        )
    return nn.functional.cross_entropy(outputs, labels)
