"""``rlprune inspect``, and the options that say which groups are pruned and how far."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rlprune.errors import ConfigError
from rlprune.experiments.pipeline.reasons import alike, grouped, told
from rlprune.experiments.settings.parsing import parse_width_rules
from rlprune.experiments.settings.result_configs import ApplyConfig, ReplayConfig
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.surveys.inspection import compact
from rlprune.networks.network import Network
from rlprune.zoo import load_zoo, zoo_entry
from tests.experiments.conftest import winner

ROWS = """
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, count, _ = x.shape
        q, k, v = self.qkv(x).view(batch, count, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return self.proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, count, -1))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Rows(nn.Module):
    def __init__(self, all_tokens=False):
        super().__init__()
        self.embed = nn.Linear(8, 32)
        self.blocks = nn.Sequential(*(Block(32, 4) for _ in range(2)))
        self.head = nn.Linear(32, 10)
        self.all_tokens = all_tokens

    def forward(self, x):
        x = self.blocks(self.embed(x.flatten(1, -2)))
        scores = self.head(x.mean(1))
        return (scores, x) if self.all_tokens else scores


class Stubborn(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, x):
        x = self.a(x.flatten(1, -2).mean(1))
        return self.c(self.b(x.view(-1, 16)).relu())


def bare():
    return Rows()


def network():
    return Rows(), torch.randn(1, 1, 8, 8)


def tokens():
    return Rows(all_tokens=True), torch.randn(1, 1, 8, 8)


class Deciding(nn.Sequential):
    def forward(self, x):
        x = super().forward(x)
        return 2 * x if x.sum() > 1e9 else x


def deciding():
    return nn.Sequential(Rows(), Deciding(nn.Linear(10, 8), nn.Linear(8, 4))), torch.randn(1, 1, 8, 8)


def stubborn():
    return Stubborn(), torch.randn(1, 1, 8, 8)
"""
MINE = ("--network", "tiny_rows:network")
TINY = ("--network", "tiny_networks:network", "--task", "tiny_networks:task", "--samples", "32")


@pytest.fixture
def rows(here: Path) -> Path:
    """The workplace with a transformer that takes the rows of an image for tokens."""
    (here / "tiny_rows.py").write_text(ROWS)
    return here


@pytest.fixture
def inspected(call: Any, rows: Path) -> Any:
    """The JSON of a successful inspection."""

    def run(*flags: object) -> dict[str, Any]:
        called = call("inspect", *flags, "--json")
        assert called.code == 0, called.err
        value: dict[str, Any] = called.json
        return value

    return run


def by_name(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {group["name"]: group for group in result["groups"]}


def test_the_zoo_network_needs_no_data(inspected: Any) -> None:
    result = inspected("--network", "digits-resnet", "--data-dir", "nowhere")
    network = Network(load_zoo("digits-resnet"), zoo_entry("digits-resnet").example_inputs())
    assert [group["name"] for group in result["groups"]] == [group.name for group in network.groups]
    assert result["dense"]["macs"] == network.macs(network.dense_widths)[0]
    assert result["left_whole"] == [{"reason": "its channels are an output of the network", "layers": ["classifier"]}]
    for index, group in enumerate(result["groups"]):
        widths = network.dense_widths.copy()
        widths[index] = group["widths"][0]
        assert group["macs_saved"] == pytest.approx(1 - network.macs(widths)[0] / result["dense"]["macs"])
        assert group["params_saved"] == pytest.approx(1 - network.params(widths)[0] / result["dense"]["params"])
        assert 0 < group["macs_saved"] < 1
    assert not any("outputs" in hint or "code" in hint for hint in result["hints"])


def test_people_get_a_table(call: Any, rows: Path) -> None:
    called = call("inspect", *MINE)
    assert called.code == 0, called.err
    lines = {line.split()[1]: line for line in called.out.splitlines() if line.startswith("│")}
    assert "4 heads x 8" in lines["blocks.0.attn.qkv"]
    assert "1..4 step 1" in lines["blocks.0.attn.qkv"]
    assert "8..64 step 8" in lines["blocks.1.mlp.0"]
    assert "- its channels are an output of the network: head\n" in called.out
    assert "- blocks.*.norm* (4)\n" in called.out
    assert "- blocks.*.attn.num_heads (2) = 4\n" in called.out
    assert "embed, blocks.*.attn.proj (2), blocks.*.mlp.2 (2)" in called.out
    assert "input" not in called.out.partition("that can be dropped")[2].partition("Left whole")[0]
    assert "--task MODULE:FUNCTION" in called.out
    assert "rlprune train" not in called.out


def test_blocks_that_can_be_dropped(call: Any, inspected: Any) -> None:
    told = inspected("--network", "digits-resnet")
    assert [block["name"] for block in told["blocks"]] == ["stages.0.0"]
    assert 0.3 < told["blocks"][0]["macs_saved"] < 0.5
    assert 0 < told["blocks"][0]["change"] < 2
    assert told["not_dropped"][0]["modules"] == ["stages.1.0.second", "stages.2.0.second"]
    without_data = inspected(*MINE)
    assert [(block["name"], block["change"]) for block in without_data["blocks"]] == [
        ("blocks.0", None),
        ("blocks.1", None),
    ]
    shown = call("inspect", "--network", "digits-resnet").out
    assert "1 block that can be dropped" in shown
    assert "changes its input" in shown
    assert "but cannot be dropped:\n- its input and its output are different channels" in shown


def test_heads_normalisations_and_guesses(inspected: Any) -> None:
    result = inspected(*MINE)
    heads = by_name(result)["blocks.0.attn.qkv"]
    assert (heads["width"], heads["unit"], heads["heads"]) == (4, 8, True)
    assert not by_name(result)["embed"]["heads"]
    assert set(by_name(result)["embed"]["renormalizes"]) == set(result["renormalizes"])
    assert result["renormalizes"] == [f"blocks.{block}.norm{norm}" for block in (0, 1) for norm in (1, 2)]
    assert {"name": "blocks.1.attn.num_heads", "value": 4, "groups": ["blocks.1.attn.qkv"]} in result["guessed"]


def test_rules_change_the_widths(inspected: Any, tmp_path: Path) -> None:
    rules = ("--rule", "blocks.0.*: multiple=16 minimum=0.5", "--rule", "blocks.1.mlp: multiple=4")
    found = by_name(inspected(*MINE, "--minimum", "0.25", *rules, "--only", "blocks", "--ignore", "embed"))
    assert set(found) == {"blocks.0.attn.qkv", "blocks.0.mlp.0", "blocks.1.attn.qkv", "blocks.1.mlp.0"}
    assert found["blocks.0.mlp.0"]["widths"] == [32, 48, 64]
    assert found["blocks.0.attn.qkv"]["widths"] == [2, 3, 4]
    assert found["blocks.1.mlp.0"]["widths"] == list(range(16, 65, 4))
    path = tmp_path / "mine.yaml"
    path.write_text(
        "network: tiny_rows:network\nminimum: 0.25\nonly: [blocks]\nignore: [embed]\n"
        'rule: ["blocks.0.*: multiple=16 minimum=0.5", "blocks.1.mlp: multiple=4"]\n'
    )
    assert by_name(inspected("--config", path)) == found


def test_inputs_come_from_a_shape_or_a_task(call: Any, inspected: Any) -> None:
    refused = call("inspect", "--network", "tiny_rows:bare")
    assert refused.code == 2
    assert all(way in refused.errors[0] for way in ("--input-shape", "--task", "(model, example inputs)"))
    of_shape = inspected("--network", "tiny_rows:bare", "--input-shape", "1,1,8,8")
    of_task = inspected("--network", "tiny_rows:bare", "--task", "digits")
    assert of_shape["groups"] == of_task["groups"] == inspected(*MINE)["groups"]
    assert "--task digits" in of_task["hints"][-1]


def test_hints_fit_what_was_found(inspected: Any) -> None:
    several = inspected("--network", "tiny_rows:tokens")
    assert several["outputs"] == ["0", "1"]
    assert any("--outputs 0" in hint for hint in several["hints"])
    assert len(next(item["layers"] for item in several["left_whole"] if "output" in item["reason"])) > 1
    number = inspected("--network", "tiny_rows:stubborn")
    assert [item["layers"] for item in number["left_whole"] if "fails" in item["reason"]] == [["a"]]
    assert any("in the code of forward" in hint for hint in number["hints"])


def test_modules_that_decide_on_values_are_told_of(call: Any, rows: Path) -> None:
    called = call("inspect", "--network", "tiny_rows:deciding")
    assert called.code == 0, called.err
    assert "and ONNX may not hold it:\n- 1\n" in called.out
    assert "Decide on values" not in call("inspect", *MINE).out


def test_the_file_holds_the_same(inspected: Any, call: Any, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "found.json"
    result = inspected(*MINE, "--out", out)
    assert json.loads(out.read_text()) == result
    inspected(*MINE, "--minimum", "0.5", "--out", out)
    assert json.loads(out.read_text()) != result
    (tmp_path / "other.json").write_text('{"schema": "mine"}')
    for path, message in ((tmp_path / "other.json", "is no inspection"), (tmp_path, "is a folder")):
        called = call("inspect", *MINE, "--out", path)
        assert (called.code, message in called.errors[0]) == (2, True), called.err
    assert (tmp_path / "other.json").read_text() == '{"schema": "mine"}'


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--only", "blocs.*"), "nothing matches 'blocs.*'"),
        (("--ignore", "haed"), "nothing matches 'haed'"),
        (("--rule", "blocs: multiple=4"), "nothing matches 'blocs'"),
        (("--only", "head"), "at least one group"),
        (("--minimum", "1.5"), "--minimum must be a keep ratio in [0, 1]; 1.5"),
        (("--minimum", "-0.1"), "--minimum must be a keep ratio"),
        (("--minimum", "half"), "minimum"),
        (("--multiple", "0"), "--multiple must be at least 1"),
        (("--rule", "embed"), "--rule must read"),
        (("--rule", "embed:"), "--rule must read"),
        (("--rule", ": multiple=4"), "--rule must read"),
        (("--rule", "embed: width=4"), "'width=4' came"),
        (("--rule", "embed: multiple"), "must be a whole number"),
        (("--rule", "embed: multiple=0"), "must be at least 1; 0 came"),
        (("--rule", "embed: multiple=1.5"), "must be a whole number; '1.5' came"),
        (("--rule", "embed: minimum=2"), "must be a keep ratio in [0, 1]; 2.0 came"),
        (("--rule", "embed: minimum=nan"), "must be a keep ratio"),
        (("--rule", "embed: multiple=4", "--rule", "embed: multiple=8"), "once"),
        (("--rule", "*: multiple=4"), "Use --multiple and --minimum"),
    ],
)
@pytest.mark.parametrize("verb", ["inspect", "train", "profile"])
def test_bad_settings_are_refused(call: Any, rows: Path, verb: str, flags: tuple[str, ...], message: str) -> None:
    task = ("--task", "digits") if verb == "train" else ()
    called = call(verb, *MINE, *task, *flags, "--out", "refused", "--json")
    assert called.code == 2, called.err
    assert message in called.errors[0]
    assert "Traceback" not in called.err
    assert not (rows / "refused").exists()


@pytest.mark.parametrize(
    ("shape", "message"), [("1,x", "positive whole numbers"), ("1,0", "positive whole numbers"), ("1,7", "failed")]
)
def test_bad_shapes_are_refused(call: Any, rows: Path, shape: str, message: str) -> None:
    called = call("inspect", *MINE, "--input-shape", shape)
    assert (called.code, len(called.errors)) == (2, 1), called.err
    assert message in called.errors[0]


def test_bad_rules_of_a_file_are_refused(call: Any, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("rule: [{embed: multiple=4}]\n")
    called = call("inspect", *MINE, "--config", tmp_path / "mine.yaml")
    assert (called.code, len(called.errors)) == (2, 1), called.err
    assert "rule" in called.errors[0]


@pytest.mark.slow
def test_apply_and_replay_take_the_rules_of_the_run(call: Any, here: Path, tmp_path: Path) -> None:
    flags = ("--budget", "macs=0.6", "--episodes", "4", "--baselines", "[]", "--profile-samples", "5")
    rules = ("--ignore", "0", "--only", "[3, 6]", "--minimum", "0.5", "--rule", "6: multiple=2")
    called = call("train", *TINY, *flags, *rules, "--out", tmp_path / "run", "--json")
    assert called.code == 0, called.err
    assert [group["name"] for group in called.json["groups"]] == ["3", "6"]
    assert "Left whole: 0 because 0 is ignored" in (tmp_path / "run" / "report.md").read_text()
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert {name: config[name] for name in ("ignore", "only", "minimum", "rule")} == {
        "ignore": ["0"],
        "only": ["3", "6"],
        "minimum": 0.5,
        "rule": ["6: multiple=2"],
    }
    again = call("replay", tmp_path / "run", *TINY[:4], "--out", tmp_path / "again", "--json")
    assert again.code == 0, again.err
    assert list(again.json["plan"]) == ["3", "6"]
    assert min(again.json["plan"].values()) >= 0.5
    notes = json.loads((tmp_path / "again" / "plan.json").read_text())["notes"]
    assert (notes["ignore"], notes["only"]) == (["0"], ["3", "6"])
    plan = tmp_path / "run" / "plan.json"
    applied = call("apply", plan, *TINY[:4], "--samples", "5", "--out", tmp_path / "pruned", "--json")
    assert applied.code == 0, applied.err
    best, pruned = winner(called.json), applied.json["rows"][-1]
    assert (pruned["widths"], pruned["macs"]) == (best["widths"], best["macs"])
    other = call("apply", plan, *TINY[:4], "--only", "3", "--out", tmp_path / "no")
    assert (other.code, "fits only the network" in other.errors[0]) == (2, True)


def test_layer_names_of_a_run_hold_on_its_own_network_only() -> None:
    run = TrainConfig(network="mine", ignore=["a"], only=["b"], rule=["c: multiple=4"], minimum=0.25, task="digits")
    assert ReplayConfig("run").settings(run) == run
    other = ReplayConfig("run", network="other", only=["d"]).settings(run)
    assert (other.ignore, other.only, other.rule, other.task) == ([], ["d"], [], None)
    assert other.minimum == 0.25
    assert ReplayConfig("run", minimum=0.0).settings(run).minimum == 0.0
    for wrong in (ReplayConfig("run", minimum=2.0), ReplayConfig("run", rule=["a"])):
        with pytest.raises(ConfigError):
            wrong.check()


def test_a_plan_fills_in_what_was_not_given() -> None:
    assert ApplyConfig(plan="p").as_planned({"only": ["a"], "ignore": ["b"]}).only == ["a"]
    assert ApplyConfig(plan="p", ignore=["c"]).as_planned({"only": ["a"], "ignore": ["b"]}).ignore == ["c"]
    assert ApplyConfig(plan="p").as_planned({}).ignore == []
    with pytest.raises(ConfigError, match="must be a list of names"):
        ApplyConfig(plan="p").as_planned({"only": "a"})


def test_parsed_rules() -> None:
    rules = parse_width_rules(["a:*: multiple=16, minimum=.5", "b: minimum=1"], 8, 0.1)
    assert rules.multiple == {"*": 8, "a:*": 16}
    assert rules.minimum == {"*": 0.1, "a:*": 0.5, "b": 1.0}


def test_one_reason_is_one_line() -> None:
    blocks = {f"blocks.{i}.fc1": f"blocks.{i}.attn mixes its channels" for i in range(40)}
    first, second = grouped({**blocks, "head": "it is 1 of 2"})
    assert (first.text, len(first.layers)) == ("blocks.*.attn mixes its channels", 40)
    assert (second.text, second.layers) == ("it is 1 of 2", ("head",))
    assert told(blocks) == "blocks.*.fc1 (40) because blocks.*.attn mixes its channels"
    assert alike([f"{letter}.x" for letter in "abcdefgh"]) == "a.x, b.x, c.x, d.x, e.x, f.x and 2 more"
    assert alike(["a.1.b2", "a.1.b3"]) == "a.1.b* (2)"
    assert alike(["0", "3", "a.1", "a.2"]) == "0, 3, a.* (2)"


@pytest.mark.parametrize(
    ("widths", "text"),
    [
        ([64], "64"),
        ([8, 16], "8, 16"),
        ([4, 8, 12], "4, 8, 12"),
        (range(8, 65, 8), "8..64 step 8"),
        ([8, 16, 24, 32, 38], "8..32 step 8, 38"),
        ([1, 2, 8, 64], "1, 2, 8, 64"),
    ],
)
def test_widths_in_few_characters(widths: Any, text: str) -> None:
    assert compact(list(widths)) == text
    assert compact(np.array(widths).tolist()) == text
