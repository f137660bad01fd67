from __future__ import annotations

import pytest
import torch

from rlprune.networks.layout import as_channels_last


@pytest.mark.parametrize("shape", [(8, 4, 3, 3), (8, 1, 3, 3), (8, 4, 1, 1), (2, 1, 28, 28)])
def test_strides_are_those_of_channels_last_also_where_the_bytes_are_equal(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape)
    last = as_channels_last(tensor)
    assert torch.equal(last, tensor)
    assert last.stride()[1] == 1
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_other_dimensions_are_left_alone() -> None:
    tensor = torch.randn(3, 5)
    assert as_channels_last(tensor) is tensor
