"""The judge of the comparison with Torch-Pruning tells right from wrong."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from rlprune.networks import surgery
from rlprune.networks.network import Network
from tests.architectures import checks, compare
from tests.architectures.catalogue import ARCHITECTURES


@pytest.fixture(scope="module")
def network() -> Network:
    return compare.exact_network(ARCHITECTURES["resnet-group-norm"])


def numbered(network: Network) -> Network:
    copied = network.with_model(copy.deepcopy(network.model))
    compare.number_entries(copied.model)
    return copied


def test_our_groups_are_judged_right(network: Network) -> None:
    """Some of them are normalised together, some are not."""
    assert len({bool(group.renormalizes) for group in network.groups}) == 2
    assert {compare.ours(network, group.name) for group in network.groups} == {(compare.RIGHT, "")}


def test_channels_cut_in_another_order_are_judged_wrong(network: Network) -> None:
    group = next(group for group in network.groups if not group.renormalizes)
    pruned = surgery.prune(numbered(network), {group.name: checks.halves(group)[0]}).eval()
    reader = pruned.get_submodule(group.consumers[0])
    reader.weight = nn.Parameter(reader.weight.flip(1))
    assert compare.verdict(network, pruned) == (compare.WRONG, "")


def test_networks_that_do_not_run_are_judged_to_fail(network: Network) -> None:
    group = network.groups[0]
    pruned = surgery.prune(numbered(network), {group.name: checks.halves(group)[0]}).eval()
    reader = pruned.get_submodule(group.consumers[0])
    reader.weight = nn.Parameter(reader.weight[:, :1])
    verdict, reason = compare.verdict(network, pruned)
    assert verdict == compare.FAILS
    assert reason.startswith("RuntimeError: ")


def test_channels_of_the_answer_are_left_out(network: Network) -> None:
    model = numbered(network).model
    head = next(module for module in reversed(list(model.modules())) if isinstance(module, nn.Linear))
    head.weight, head.bias = nn.Parameter(head.weight[1:]), nn.Parameter(head.bias[1:])
    assert compare.verdict(network, model) == (compare.LEFT_OUT, "")


def test_without_torch_pruning_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compare.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["compare", "--out", str(tmp_path / "results.json"), "--only", "vgg"])
    with pytest.raises(SystemExit, match="pip install 'torch-pruning"):
        compare.main()
    assert not list(tmp_path.iterdir())


def test_groups_of_torch_pruning_are_judged() -> None:
    pytest.importorskip("torch_pruning")
    result = compare.all_theirs(compare.exact_network(ARCHITECTURES["vgg"]))
    assert result["graph"] == ""
    assert [verdict for verdict, _ in result["theirs"]].count(compare.RIGHT) == 6
    assert torch.is_grad_enabled()


def test_a_page_counts_what_was_found() -> None:
    right, wrong = (compare.RIGHT, ""), (compare.WRONG, "")
    results = {
        "one": {"ours": [right, right], "theirs": [right, wrong, (compare.FAILS, "E: a|b")], "graph": ""},
        "two": {"ours": [right], "theirs": [], "graph": "E: no"},
    }
    page = compare.page(results, "1.6")
    assert "| one | 2 | 2 | 3 | 1 | 1 | 1 | 0 | `E: a\\|b` |" in page
    assert "| two | 1 | 1 | 0 | 0 | 0 | 0 | 0 | `E: no` |" in page
    assert "3 of our 3 groups are right" in page
