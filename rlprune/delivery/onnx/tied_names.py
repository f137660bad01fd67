"""Tensors that have several names, as tied embeddings have: in exported graphs they keep the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def first_names(module: nn.Module) -> dict[str, str]:
    """Further names of tied tensors, of which the exporter takes the last, and the first name of each."""
    first: dict[int, str] = {}
    state = module.state_dict(keep_vars=True)
    return {key: name for key, tensor in state.items() if (name := first.setdefault(id(tensor), key)) != key}


def rename_tensors(graph: Any, names: Mapping[str, str]) -> None:
    """Give initialisers of an ONNX graph other names, wherever they are read."""
    names = {old: new for old, new in names.items() if old in {tensor.name for tensor in graph.initializer}}
    graphs = [graph] if names else []
    for each in graphs:  # it grows while it is walked: graphs stand in the attributes of conditions and loops
        for tensor in each.initializer:
            tensor.name = names.get(tensor.name, tensor.name)
        for node in each.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            for attribute in node.attribute:
                graphs += [inner for inner in (*attribute.graphs, attribute.g) if inner.node]
