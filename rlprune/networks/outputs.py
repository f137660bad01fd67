"""Which tensors of a network's answer keep their channels: all of them, or those that are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rlprune.errors import NetworkError
from rlprune.networks.inputs import named_tensors_in, tensors_in
from rlprune.support.patterns import matches

Pick = Callable[[Any], Any]
"""From what a network answers to the tensors that count."""

OUTPUT = "its channels are an output of the network"
"""Why a layer is left whole; of several outputs, the name of one in brackets follows."""


@dataclass(frozen=True)
class Named:
    """Picks tensors of an answer by their names; see :func:`rlprune.networks.inputs.named_tensors_in`.

    Attributes:
        names: or patterns, with all below them: ``logits``, ``0``, ``hidden_states``, ``hidden_states.1*``.
    """

    names: tuple[str, ...]

    def __call__(self, answer: Any) -> dict[str, torch.Tensor]:
        """The tensors, by name and in the answer's order.

        Raises:
            NetworkError: a name means none of them.
        """
        found = dict(named_tensors_in(answer))
        for name in self.names:
            if not any(matches(each, name) for each in found):
                known = ", ".join(filter(None, found)) or "a single tensor, which has no name"
                raise NetworkError(f"Outputs must be some that the network gives; {name!r:.80} is none of: {known}.")
        return {each: found[each] for each in found if any(matches(each, name) for name in self.names)}


def picked_by(outputs: Pick | Sequence[str] | None) -> Pick:
    """A function that picks what counts of an answer.

    Args:
        outputs: such a function, names, or nothing for all.
    """
    if outputs is None or callable(outputs):
        return outputs or everything
    return Named(tuple(outputs)) if outputs else everything


def everything(answer: Any) -> Any:
    """The outputs that count where nothing was said."""
    return answer


def whole_for(left_whole: Mapping[str, str], name: str) -> list[str]:
    """Layers that are left whole because of this one of several outputs."""
    return [layer for layer, why in left_whole.items() if why == f"{OUTPUT} ({name})"]


def names_of(pick: Pick, answer: Any) -> list[str]:
    """Names of those tensors of an answer on which ``pick(answer)`` depends, by their gradients.

    None where gradients do not tell: where it takes the largest, say, or leaves torch.

    Args:
        pick: such as :meth:`Task.outputs`.
        answer: of a network, without gradients.
    """
    floating = {name: tensor for name, tensor in named_tensors_in(answer) if tensor.is_floating_point()}
    plain = [tensor for tensor in floating.values() if not tensor.requires_grad]  # a buffer may be among them
    try:
        with torch.enable_grad():
            for tensor in plain:
                tensor.requires_grad_(True)
            picked = [tensor.sum() for tensor in tensors_in(pick(answer)) if tensor.requires_grad]
            slopes = torch.autograd.grad(picked, list(floating.values()), allow_unused=True)
    except Exception:  # nothing was picked, or code of a user that takes no gradients
        return []
    finally:
        for tensor in plain:
            tensor.requires_grad_(False)
    return [name for name, slope in zip(floating, slopes, strict=True) if slope is not None]
