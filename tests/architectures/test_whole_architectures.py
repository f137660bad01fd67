"""Every architecture of the collection through a search and a delivery: tables, evaluator, costs, all kinds, files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architectures import whole
from tests.architectures.catalogue import parameters
from tests.architectures.test_architectures import NOT_IN_ONNX, architecture_of

QUICKLY_DELIVERED = (
    "resnet-option-a", "shufflenet-v2", "convnext", "attention-packed", "lstm-two-layers", "dlrm", "bare-parameters",
)  # fmt: skip


@pytest.mark.parametrize("name", parameters(QUICKLY_DELIVERED))
def test_searches_score_what_is_delivered(name: str, tmp_path: Path) -> None:
    """Plans can be scored, cost what the delivered network costs, and are written as files that are read again."""
    prepared = whole.prepare(architecture_of(name))
    whole.check_search(prepared)
    whole.check_costs(prepared, tmp_path)
    whole.check_files(prepared, tmp_path)
    whole.check_shell(prepared)
    if name not in NOT_IN_ONNX:
        whole.check_onnx(prepared)
