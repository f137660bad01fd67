"""Drops blocks: for good, in a copy that no longer has them, or for a moment, while plans are tried."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Collection, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from rlprune.errors import NetworkError
from rlprune.networks.contexts import hooked
from rlprune.networks.inputs import call
from rlprune.networks.network import Network
from rlprune.pruning.blocks.blocks import Block, Blocks
from rlprune.pruning.calibration import batch_for
from rlprune.tasks.batches import batches
from rlprune.tasks.split import Split

PLAIN = (bool, int, float, str, type(None))


def pass_on(takes: int | str, answers: int | None, *args: Any, **kwargs: Any) -> Any:
    """What a dropped block answers: the argument that it takes, in a tuple with None where it answered with one."""
    value = kwargs[takes] if isinstance(takes, str) else args[takes]
    return value if answers is None else (value, *[None] * (answers - 1))


class Skip(nn.Module):
    """Stands where a block was: no parameters, no operation, and no node in an ONNX graph.

    Args:
        takes, answers: see :class:`rlprune.pruning.blocks.blocks.Block`.
        facts: numbers and texts that code around the block may read of it, such as ``layers[0].attn.batch_first``.
    """

    def __init__(self, takes: int | str = 0, answers: int | None = None, facts: SimpleNamespace | None = None) -> None:
        super().__init__()
        self.takes = takes
        self.answers = answers
        self.facts = facts or SimpleNamespace()

    @classmethod
    def of(cls, block: Block, module: nn.Module) -> Skip:
        """What stands in for ``module``, which is the block."""
        return cls(block.takes, block.answers, _facts(module)).train(module.training)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The block's input."""
        return pass_on(self.takes, self.answers, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        facts = vars(self).get("facts")
        return getattr(facts, name) if hasattr(facts, name) else super().__getattr__(name)

    def extra_repr(self) -> str:
        """How it is printed."""
        return f"takes={self.takes!r}" + ("" if self.answers is None else f", answers={self.answers}")


def _facts(module: nn.Module) -> SimpleNamespace:
    plain = {name: value for name, value in vars(module).items() if isinstance(value, PLAIN) and name[0] != "_"}
    return SimpleNamespace(**plain, **{name: _facts(child) for name, child in module.named_children()})


@contextlib.contextmanager
def skipped(module: nn.Module, blocks: Sequence[Block]) -> Iterator[nn.Module]:
    """``module`` itself, with a :class:`Skip` in the place of each block; afterwards they are back."""
    taken = []
    try:
        for block in blocks:
            owner, _, name = block.name.rpartition(".")
            modules = module.get_submodule(owner)._modules
            held = modules[name]
            assert held is not None
            taken.append((modules, name, held))
            modules[name] = Skip.of(block, held)
        yield module
    finally:
        for modules, name, held in taken:
            modules[name] = held


def drop_blocks(module: nn.Module, blocks: Blocks, names: Collection[str]) -> nn.Module:
    """A copy of ``module`` without the blocks of these names; every other module and tensor keeps its name.

    Args:
        module: the dense network, or one that was made of it, such as a pruned one.
        blocks: of the dense network.

    Raises:
        PlanError: a name is that of no block, or of a module that cannot be dropped.
    """
    with skipped(module, blocks.named(names)):
        return copy.deepcopy(module)


def shortened(network: Network, blocks: Blocks, names: Collection[str]) -> Network:
    """The network whose model lacks some blocks; groups, layers and costs stay those of the whole.

    For what only runs or exports the model at some widths. Raises as :func:`drop_blocks`.
    """
    return network.with_model(drop_blocks(network.model, blocks, names))


class BlockSwitch:
    """Turns blocks of a network off and on again, as often as wanted; no tensor is copied and no key changes.

    Args:
        module: changed in place; it may be that of a :class:`rlprune.networks.surgery.Shell`.
        blocks: of the dense network.
    """

    def __init__(self, module: nn.Module, blocks: Blocks) -> None:
        self._blocks = blocks
        self._modules = {name: module.get_submodule(name) for name in blocks.names}
        self._own = {name: vars(part).get("forward") for name, part in self._modules.items()}
        self._off: frozenset[str] = frozenset()

    def only(self, dropped: Collection[str]) -> None:
        """Let these blocks answer with their input, and all others run.

        Raises:
            PlanError: a name is that of no block, or of a module that cannot be dropped.
        """
        wanted = {block.name: block for block in self._blocks.named(dropped)}
        for name in self._off - wanted.keys():
            self._turn_on(name)
        for name in wanted.keys() - self._off:
            self._modules[name].forward = functools.partial(pass_on, wanted[name].takes, wanted[name].answers)
        self._off = frozenset(wanted)

    def _turn_on(self, name: str) -> None:
        del self._modules[name].forward
        if (own := self._own[name]) is not None:
            self._modules[name].forward = own


def block_errors(network: Network, blocks: Blocks, calibration: Split) -> dict[str, float]:
    """How much each block changes what it is given: ``||out - in||^2 / ||out||^2`` over all samples; 0 is not at all.

    A first guess at what dropping it costs (Gromov et al., 2024, arXiv:2403.17887, compare the angle of the two).

    Raises:
        NetworkError: the network cannot take the calibration samples.
    """
    changed, size = dict.fromkeys(blocks.names, 0.0), dict.fromkeys(blocks.names, 0.0)

    def note(name: str, given: torch.Tensor, answer: torch.Tensor) -> None:
        changed[name] += float((answer - given).double().square().sum())
        size[name] += float(answer.double().square().sum())

    device = next(network.model.parameters()).device
    try:
        with torch.no_grad(), contextlib.ExitStack() as stack:
            for block in blocks:
                stack.enter_context(_observed(network.model.get_submodule(block.name), block, note))
            for inputs in batches(calibration, batch_for(network.layers), device):
                call(network.model, inputs)
    except Exception as reason:
        raise NetworkError(
            f"The network must accept the task's calibration samples; its forward failed: {str(reason).rstrip('.')}. "
            "Is this the task for this network?"
        ) from reason
    return {name: changed[name] / (size[name] or 1.0) for name in blocks.names}


def _observed(module: nn.Module, block: Block, note: Any) -> contextlib.AbstractContextManager[None]:
    """Tell ``note`` what a block is given, as it was before the block may change it in place, and what it answers."""
    given: list[torch.Tensor] = []

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        given.append(pass_on(block.takes, None, *args, **kwargs).clone())

    def leave(module: nn.Module, args: Any, answer: Any) -> None:
        note(block.name, given.pop(), answer if block.answers is None else answer[0])

    return hooked([module.register_forward_pre_hook(enter, with_kwargs=True), module.register_forward_hook(leave)])
