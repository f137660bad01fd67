from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from rlprune.pruning import batchnorm
from tests.models import build, images


def test_batchnorm_is_measured_anew_and_nothing_else_changes() -> None:
    model = build("residual")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batchnorm.reestimate(model, [(images(64, seed=s),) for s in range(3)])
    norm = model.get_submodule("block1.bn1")
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert all("running" in name or "num_batches" in name for name in changed)
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for seed in range(3):
            model(images(64, seed=seed))
    wanted = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(norm.running_mean, wanted, atol=1e-5, rtol=1e-4)
    assert not model.training
    assert norm.momentum == 0.1


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_blends_what_the_samples_have_into_what_stood_there(share: float) -> None:
    model, inputs = build("residual"), images(64)
    norm = model.get_submodule("block1.bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        first = torch.relu(model.get_submodule("stem")(inputs))
        seen = model.get_submodule("block1.conv1")(first)
    measured = seen.mean((0, 2, 3)), seen.var((0, 2, 3))
    wanted = [own.lerp(new, share) for own, new in zip((norm.running_mean, norm.running_var), measured, strict=True)]
    batchnorm.reestimate(model, [(inputs,)], share)
    torch.testing.assert_close([norm.running_mean, norm.running_var], wanted, atol=1e-5, rtol=1e-4)


def test_the_blend_of_a_search_is_that_of_a_delivered_network() -> None:
    """On the same samples, in one batch; running variances are unbiased, so the answers are the same but for that."""
    searched, delivered, inputs = build("residual"), build("residual"), (images(64),)
    batchnorm.use_batch_statistics(searched, 0.5)
    batchnorm.reestimate(delivered, [inputs], 0.5)
    with torch.no_grad():
        torch.testing.assert_close(searched(*inputs), delivered(*inputs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_one_value_a_channel_has_no_variance_and_changes_nothing(share: float) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    inputs = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    wanted = model(inputs)
    batchnorm.reestimate(model, [(inputs,)], share)
    torch.testing.assert_close(dict(model.state_dict()), before)
    batchnorm.use_batch_statistics(model, share)
    torch.testing.assert_close(model(inputs), wanted)


class Shared(nn.Module):
    """Two layers, whose answers differ a hundredfold in size, share a BatchNorm that is known by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.norm, self.own = nn.BatchNorm1d(16), nn.BatchNorm1d(16)
        self.again = self.norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x)).relu()
        return self.head(self.own(self.again(100 * self.second(x)).relu()))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_batchnorm_that_layers_share_keeps_its_own_in_search_and_delivery(share: float) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        searched, inputs = Shared().eval(), torch.randn(256, 8)
    delivered = copy.deepcopy(searched)
    shared = batchnorm.shared(searched, (inputs[:1],))
    assert shared == {"norm", "again"}
    batchnorm.use_batch_statistics(searched, share, shared)
    batchnorm.reestimate(delivered, [(inputs,)], share, shared)
    torch.testing.assert_close(delivered.norm.state_dict(), searched.norm.state_dict())
    assert not torch.equal(delivered.own.running_mean, searched.own.running_mean)
    with torch.no_grad():
        torch.testing.assert_close(searched(inputs), delivered(inputs), atol=0.01, rtol=0.01)
