from __future__ import annotations

import torch

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
