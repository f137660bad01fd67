"""Norms of weights, wherever the network lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from rlprune.networks.network import Network
from rlprune.pruning import importance


class Elsewhere(torch.Tensor):
    """A tensor that cannot be added to one of the CPU until it was moved there, as one on a GPU."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        inside = [x.as_subclass(torch.Tensor) if isinstance(x, Elsewhere) else x for x in args]
        if func in (torch.Tensor.__iadd__, torch.Tensor.add, torch.Tensor.__add__):
            raise RuntimeError("Expected all tensors to be on the same device")
        answer = func(*inside, **(kwargs or {}))
        moved = func is torch.Tensor.cpu or (func is torch.Tensor.to and "cpu" in args)
        return answer if moved or not isinstance(answer, torch.Tensor) else answer.as_subclass(cls)


def test_l1_norms_of_a_network_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    network = Network(model.eval(), torch.randn(2, 4))
    wanted = importance.l1(network, network.groups[0])
    weight = network.model.get_parameter("0.weight").detach().as_subclass(Elsewhere)
    monkeypatch.setattr(network.model, "get_parameter", lambda key: weight)
    found = importance.l1(network, network.groups[0])
    assert type(found) is torch.Tensor
    assert torch.equal(found, wanted)
