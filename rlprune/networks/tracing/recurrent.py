"""Recurrent modules start from zeros whose size is an attribute: they are given zeros that carry labels instead.

Everything else about them (gates, layers, directions, projections) follows from the operations they are made of.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from rlprune.networks.tracing.labelling import Labelling


def with_labelled_state(tracer: Labelling, module: nn.Module, args: Any, kwargs: Any) -> Any:
    """Arguments of a recurrent module with its first state made explicit; None where nothing changes."""
    if not isinstance(module, nn.RNNBase | nn.RNNCellBase) or kwargs.get("hx") is not None or len(args) > 1:
        return None
    state = _states(tracer, module, args[0] if args else kwargs["input"])
    gated = isinstance(module, nn.LSTM | nn.LSTMCell)
    return (*args[:1],), {**kwargs, "hx": state if gated else state[0]}


def _states(tracer: Labelling, module: nn.Module, sequence: Any) -> tuple[torch.Tensor, ...]:
    hidden = int(module.hidden_size)  # type: ignore[arg-type]
    projected = int(getattr(module, "proj_size", 0))
    atoms = tracer.first_state(*((projected, hidden) if projected else (hidden,)))
    tracer.size("hidden_size", atoms[-1])
    if projected:
        for label in atoms:
            tracer.atoms.fix(label, "torch knows a projected LSTM by its sizes, which must not become equal")
    states = []
    for label in (atoms[0], atoms[-1]):
        state = _zeros(module, sequence, len(label))
        tracer.set_labels(state, (*(None,) * (state.dim() - 1), label))
        states.append(state)
    return tuple(states)


def _zeros(module: nn.Module, sequence: Any, size: int) -> torch.Tensor:
    if isinstance(module, nn.RNNCellBase):
        return torch.zeros(*sequence.shape[:-1], size, dtype=sequence.dtype, device=sequence.device)
    assert isinstance(module, nn.RNNBase)
    layers = module.num_layers * (2 if module.bidirectional else 1)
    if isinstance(sequence, PackedSequence):
        batch: tuple[int, ...] = (int(sequence.batch_sizes[0]),)
        sequence = sequence.data
    elif sequence.dim() == 3:
        batch = (sequence.shape[0 if module.batch_first else 1],)
    else:
        batch = ()
    return torch.zeros(layers, *batch, size, dtype=sequence.dtype, device=sequence.device)
