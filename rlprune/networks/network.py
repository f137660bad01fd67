"""A torch network seen as an ordered list of groups of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlprune.networks.groups import GroupRules
from rlprune.networks.loading.load import load
from rlprune.networks.outputs import Pick, picked_by
from rlprune.networks.record import NetworkRecord


class Network(NetworkRecord):
    """A private, dense, evaluated copy of ``model`` with its groups, costs and identity.

    Buffers that hold channels of a group are in its ``state_dict``, also where ``model`` leaves them out.

    >>> network = Network(model, torch.randn(2, 3, 32, 32), ignore=["head"])    # doctest: +SKIP
    >>> network.macs(network.dense_widths)                                      # doctest: +SKIP

    Args:
        model: any ``nn.Module`` in float32 or float64. It is copied, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments that ``forward`` takes; the first
            dimension of the first tensor is the batch.
        ignore: layer names or patterns, with all below them, whose output channels stay whole.
        only: where given, only groups whose channels come out of these layers are pruned.
        multiple: widths are rounded to multiples of this (see :func:`rlprune.networks.groups.allowed_widths`), or a
            mapping from patterns to multiples, with ``*`` for the rest.
        minimum: smallest keep ratio of every group, or a mapping from patterns to ratios.
        outputs: what the model answers keeps its channels, in their order: all of it where nothing is said; else the
            tensors of these names (``["logits"]``, ``["0"]``; see :class:`rlprune.networks.outputs.Named`), or those
            that a function picks from the answer. The others may lose channels.

    Attributes:
        those of :class:`rlprune.networks.record.NetworkRecord`.

    Raises:
        NetworkError: the model cannot be taken or run, or has nothing to prune.
    """

    def __init__(
        self,
        model: Any,
        example_inputs: Any,
        *,
        ignore: Sequence[str] = (),
        only: Sequence[str] = (),
        multiple: int | Mapping[str, int] = 8,
        minimum: float | Mapping[str, float] = 0.0,
        outputs: Pick | Sequence[str] | None = None,
    ) -> None:
        rules = GroupRules(ignore, only, multiple, minimum)
        vars(self).update(vars(load(model, example_inputs, rules, picked_by(outputs))))
