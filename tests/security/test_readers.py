"""What the fuzz tests found, one by one, and files made to fill the memory."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import nn

from rlprune.agents.policy import Policy, PolicySpec
from rlprune.delivery.compact.file import Stored, load_compact, save_compact
from rlprune.devices.profiles.digest import sealed
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.records import EnergyReading
from rlprune.devices.profiling.partial import PartialProfile
from rlprune.devices.sources import open_source
from rlprune.envs.actions import CHANNELS
from rlprune.errors import (
    ConfigError,
    DeviceError,
    NetworkError,
    PlanError,
    PolicyError,
    ProfileError,
    RlpruneError,
    RunError,
    TaskError,
)
from rlprune.experiments.cli.parser import parse
from rlprune.experiments.cli.verbs import VERBS
from rlprune.experiments.comparing.comparison import compare_runs
from rlprune.experiments.reports.report import write_report
from rlprune.experiments.runs.episodes import read_csv
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.settings.result_configs import CompareConfig
from rlprune.experiments.settings.yaml_file import read_yaml
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.support.files import MAX_JSON_BYTES, MAX_JSON_VALUES, plain_name, read_bytes, read_json
from rlprune.tasks.idx import read_idx
from rlprune.zoo import resolve_network
from rlprune.zoo.names import SourceName
from tests.security.test_fuzz import run  # noqa: F401 a fixture

MEGABYTE = 2**20


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("9" * 5000, "64 bits"),
        ("1" + 400 * "0", "64 bits"),
        ("9223372036854775808", "64 bits"),
        ("1e400", "no finite number"),
        ("NaN", "no finite number"),
        ("-Infinity", "no finite number"),
        ('{"b": 1, "b": 2}', "twice"),
        ("[" * 40 + "]" * 40, "deeper"),
        ("[" * 100_000, "not valid JSON"),
        ('"\\ud800"', "plain text"),
        ('"\\u001b]0;title\\u0007"', "plain text"),
        ('{"\\u0000": 1}', "plain text"),
    ],
)
def test_json_is_read_strictly(tmp_path: Path, value: str, message: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(f'{{"a": {value}}}')
    with pytest.raises(PlanError, match=message):
        read_json(path, PlanError)


def test_json_of_64_bits_and_plain_text_is_read(tmp_path: Path) -> None:
    value = {"a": [2**63 - 1, -(2**63 - 1), 1e308, "two\nlines, ✓ and \U0001f600"], "b": {"": None}}
    path = tmp_path / "file.json"
    for ascii_only in (True, False):
        path.write_text(json.dumps(value, ensure_ascii=ascii_only), encoding="utf-8")
        assert read_json(path, PlanError) == value


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", ".hidden", "a\0b", "a\nb", "x" * 101, "-rf", "a\\b"])
def test_names_that_climb_or_hide_are_refused(name: str) -> None:
    with pytest.raises(RunError, match="cannot stand in a file's name"):
        plain_name(name, RunError)


@pytest.mark.parametrize("name", ["ddpg", "uniform latency=0.65", "latency0.3ms", "my_agent-2"])
def test_plain_names_stand(name: str) -> None:
    assert plain_name(name, RunError) == name


def test_pipes_devices_and_folders_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(PlanError, match="must be a file"):
            read_bytes(path, PlanError, 100)
    with pytest.raises(TaskError, match="must be a file"):
        read_idx(tmp_path / "pipe", 3)


BOMBS = {
    "lists": "[" + "[]," * (MAX_JSON_BYTES // 3 - 10) + "[]]",
    "as many lists as are read": "[" + "[]," * (MAX_JSON_VALUES // 2 - 10) + "[]]",
    "as many names as are read": "{" + ",".join(f'"{i}":{i + 1000}' for i in range(MAX_JSON_VALUES - 10)) + "}",
    "text of wide letters": '["' + "x" * (MAX_JSON_BYTES - 100) + '\U0001f600"]',
    "a file too large": " " * (MAX_JSON_BYTES + 10),
}


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def quietly(work: Callable[[], object]) -> Callable[[], None]:
    def tried() -> None:
        try:
            work()
        except RlpruneError:
            return

    return tried


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_json_takes_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.json"
    path.write_text(f'{{"a": {BOMBS[name]}}}', encoding="utf-8")
    assert peak_of(quietly(lambda: read_json(path, PlanError))) < 300 * MEGABYTE


def test_yaml_aliases_and_large_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    laughs = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path.write_text("\n".join(laughs))
    with pytest.raises(RunError, match="alias"):
        read_yaml(path, RunError)
    with pytest.raises(ConfigError, match="alias"):
        parse(VERBS["train"], ["--config", str(path)])
    path.write_text("# " + "x" * 2**16)
    with pytest.raises(RunError, match="at most"):
        read_yaml(path, RunError)


@pytest.mark.parametrize(
    "text",
    [
        "seed: " + "9" * 5000,
        "? [a]\n: b",
        "1: 2",
        "a: " + "[" * 5000 + "]" * 5000,
        "a: !!python/object/apply:os.abort []",
        'a: "\\e[2J"',
        "- a",
        "",
        "a: 2001-99-99",
    ],
)
def test_yaml_holds_plain_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(RunError):
        read_yaml(path, RunError)


@pytest.mark.parametrize(
    "text", ["minimum:", "seed: null", "threads: 1e400", "episodes: " + "9" * 400, "levels: 999999"]
)
def test_settings_that_are_nothing_or_endless_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text + "\nbudget: [latency=0.5]\n")
    with pytest.raises(ConfigError):
        parse(VERBS["train"], ["--config", str(path)])[0].check()


def write_idx(path: Path, shape: tuple[int, ...], content: bytes, *, zipped: bool = False) -> Path:
    whole = bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes() + content
    path.write_bytes(gzip.compress(whole, 1) if zipped else whole)
    return path


@pytest.mark.parametrize("shape", [(2**31, 1, 1), (2**32 - 1,) * 3, (2**28 + 1, 1, 1)])
def test_an_idx_header_that_promises_too_much_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write_idx(tmp_path / "images", shape, b"abc")
    assert peak_of(quietly(lambda: read_idx(path, 3))) < MEGABYTE
    with pytest.raises(TaskError, match="at most"):
        read_idx(path, 3)


def test_a_gzipped_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "images", (3, 2, 2), bytes(64 * MEGABYTE), zipped=True)
    assert peak_of(quietly(lambda: read_idx(path, 3))) < MEGABYTE
    with pytest.raises(TaskError, match="more follow"):
        read_idx(path, 3)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy on disk."""
    linears = [nn.Linear(len(PolicySpec("x", (), "relu", True).observation), 8), nn.Linear(8, 1)]
    Policy.from_layers("ddpg", linears, "relu", True, CHANNELS, "price").save(tmp_path)
    assert Policy.load(tmp_path).act(np.zeros(linears[0].in_features, np.float32)).shape == (1,)
    return tmp_path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("activation", ["relu"]),
        ("activation", {}),
        ("observation", 5),
        ("observation", {"a": 1}),
        ("actions", 5),
        ("algorithm", None),
        ("sizes", [4096] * 16),
        ("sizes", [26, 10**9, 1]),
        ("sizes", "many"),
        ("sizes", []),
    ],
)
def test_a_malformed_policy_is_refused(policy: Path, key: str, value: object) -> None:
    spec = json.loads((policy / "policy.json").read_text())
    (policy / "policy.json").write_text(json.dumps({**spec, key: value}))
    with pytest.raises(PolicyError):
        Policy.load(policy)


def test_weights_that_no_float32_holds_are_refused(policy: Path) -> None:
    weights = {name: tensor.double() * 0 + 1e300 for name, tensor in Policy.load(policy).state_dict().items()}
    (policy / "policy.safetensors").write_bytes(save(weights))
    with pytest.raises(PolicyError, match="finite float32"):
        Policy.load(policy)


def test_a_policy_never_answers_with_nan(policy: Path) -> None:
    weights = {name: torch.full_like(tensor, 3e38) for name, tensor in Policy.load(policy).state_dict().items()}
    weights["layers.2.weight"][0, ::2] *= -1
    (policy / "policy.safetensors").write_bytes(save(weights))
    loaded = Policy.load(policy)
    with pytest.raises(PolicyError, match="numbers"):
        loaded.act(np.ones(loaded.spec.sizes[0], np.float32))


@pytest.fixture
def compact(tmp_path: Path) -> Path:
    """A network with a sparse weight in 8 bits, one in 4 bits of an odd number, and one with a mean."""
    weight = torch.arange(99).view(3, 33) / 7 - 5
    mask = torch.arange(99).view(3, 33) % 9 == 0
    ways = {"sparse": Stored(8, 0, mask), "odd": Stored(4, 0), "mean": Stored(32, 0, mask, mean=True)}
    return save_compact(tmp_path / "net.safetensors", dict.fromkeys(ways, weight), ways)


def described(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with safe_open(path, "pt") as file:
        return load(path.read_bytes()), json.loads(file.metadata()["rlprune"])


def write_compact(path: Path, tensors: dict[str, torch.Tensor], description: object) -> None:
    path.write_bytes(save(tensors, {"rlprune": json.dumps(description)}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("shape", [2**31 - 1] * 3, "must have [0-9]{27,} bytes"),
        ("shape", [2**31] * 3, "sizes"),
        ("shape", [3, 40], "must have"),
        ("shape", [33, 3], "must have"),
        ("shape", [], "sizes"),
        ("shape", [1] * 9, "sizes"),
        ("shape", [0, 33], "sizes"),
        ("shape", [True, 99], "sizes"),
        ("shape", [3.0, 33], "sizes"),
        ("shape", "3x33", "sizes"),
        ("out_dim", 2, "'out_dim' must be a dimension"),
        ("out_dim", -1, "'out_dim' must be a dimension"),
        ("out_dim", 1, "must have"),
        ("bits", 2, "'bits' must be one of"),
        ("bits", 16, "must have"),
        ("bits", None, "'bits' must be one of"),
        ("sparse", 1, "'sparse' must be true or false"),
        ("sparse", False, "'kept' must be all entries"),
        ("mean", "no", "'mean' must be true or false"),
        ("mean", True, "must have"),
        ("kept", 12, "must have"),
        ("kept", 100, "'kept' must be a number of entries"),
        ("kept", -1, "'kept' must be a number of entries"),
        ("other", 1, "must hold shape, out_dim"),
    ],
)
def test_a_malformed_description_of_a_weight_is_refused(compact: Path, key: str, value: object, message: str) -> None:
    tensors, description = described(compact)
    description["treated"]["sparse"][key] = value
    write_compact(compact, tensors, description)
    with pytest.raises(NetworkError, match=message):
        load_compact(compact)


@pytest.mark.parametrize(
    ("name", "place", "byte", "message"),
    [
        ("sparse", slice(-13, -12), 0b11111111, "must keep 11 of 99"),
        ("sparse", slice(-1, None), 0b1, "must keep 11 of 99"),
        ("sparse", slice(12, 13), 0x80, "finite numbers and scales above 0"),  # -128 is no code
        ("sparse", slice(0, 4), 0, "scales above 0"),
        ("sparse", slice(2, 4), 0xFF, "finite numbers and scales"),
        ("sparse", slice(0, 4), 0x7E, "values times scales must be finite"),
        ("odd", slice(-1, None), 0x70, "bits behind the last value must be 0"),
        ("odd", slice(12, 13), 0x88, "finite numbers and scales above 0"),
        ("mean", slice(0, 4), 0xFF, "finite numbers"),
        ("mean", slice(4, 8), 0xFF, "finite numbers"),
    ],
)
def test_malformed_bytes_of_a_weight_are_refused(
    compact: Path, name: str, place: slice, byte: int, message: str
) -> None:
    tensors, description = described(compact)
    tensors[name][place] = byte
    write_compact(compact, tensors, description)
    with pytest.raises(NetworkError, match=message):
        load_compact(compact)


def test_a_compact_file_that_describes_other_tensors_is_refused(compact: Path) -> None:
    tensors, description = described(compact)
    for changed, message in (
        ({**tensors, "odd": tensors["odd"].view(1, -1)}, r"must have [0-9]+ bytes; torch.uint8 \[1, "),
        ({**tensors, "odd": tensors["odd"].to(torch.bfloat16)}, "must have"),
        ({key: tensors[key] for key in ("odd", "sparse")}, "does not hold: 'mean'"),
    ):
        write_compact(compact, changed, description)
        with pytest.raises(NetworkError, match=message):
            load_compact(compact)
    for other in ([], {"schema": "rlprune-compact/2", "treated": {}}, {"schema": "rlprune-compact/1"}, "x"):
        write_compact(compact, tensors, other)
        with pytest.raises(NetworkError, match=r"JSON object|must have schema"):
            load_compact(compact)


def test_a_small_compact_file_fills_no_memory(compact: Path) -> None:
    tensors, description = described(compact)
    huge = {"shape": [2**16, 2**16], "out_dim": 0, "bits": 4, "sparse": True, "mean": False, "kept": 0}
    write_compact(compact, tensors, {**description, "treated": {"sparse": huge}})
    assert peak_of(quietly(lambda: load_compact(compact))) < MEGABYTE
    with pytest.raises(NetworkError, match="must have 537133056 bytes"):
        load_compact(compact)


HEAD = "number,reward,score,divergence,evaluations,cache_hits,seconds,widths"


@pytest.mark.parametrize(
    "line",
    [
        f"1,0.5,1,0,1,0,0.1,{'9' * 400}",
        f"1,0.5,1,0,1,0,0.1,{'9' * 5000}",
        f"1,0.5,1,0,1,0,0.1,{'8 ' * 70_000}",
        "1,0.5,1,0,1e12,0,0.1,8 8",
        "1,0.5,1,0,nan,0,0.1,8 8",
        "1,inf,1,0,1,0,0.1,8 8",
        "1,nan,1,0,1,0,0.1,8 8",
        "1,0.5,1,0,1,0,0.1",
        "1,0.5,1,0,1,0,0.1,8 8,9",
        "",
    ],
)
def test_a_malformed_table_of_episodes_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "episodes.csv"
    path.write_text(f"{HEAD}\n{line}\n")
    with pytest.raises(RunError, match="not a table"):
        read_csv(path)
    path.write_text(f"{HEAD}\n1,0.5,nan,inf,1,0,0.1,8 8\n")
    assert read_csv(path).widths.tolist() == [[8, 8]]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("searches", {"../../secret": None}),
        ("searches", {}),
        ("groups", []),
        ("marks", {}),
        ("samples", "many"),
        ("budgets", "latency=0.5"),
        ("rows", [{"name": "dense"}]),
        ("seconds", {"load": "soon"}),
        ("verdict", None),
        ("profile", {"title": "x"}),
    ],
)
def test_a_malformed_result_is_refused(run: RunFolder, key: str, value: Any) -> None:  # noqa: F811
    write_report(run)
    path = run.path / "result.json"
    whole = json.loads(path.read_text())
    if key == "searches" and value:
        value = dict.fromkeys(value, whole["searches"]["ddpg"])
    path.write_text(json.dumps({**whole, key: value}))
    before = (run.path / "report.md").read_bytes()
    for read in (run.result, lambda: write_report(run), lambda: compare_runs(CompareConfig(runs=[str(run.path)]))):
        with pytest.raises(RunError):
            read()
    assert (run.path / "report.md").read_bytes() == before


def test_a_row_of_text_is_refused_where_numbers_stand(run: RunFolder) -> None:  # noqa: F811
    path = run.path / "result.json"
    result = json.loads(path.read_text())
    result["rows"][0]["score_validation"] = "good"
    path.write_text(json.dumps(result))
    with pytest.raises(RunError, match="score_validation"):
        run.result()


def test_links_in_a_run_folder_are_refused(run: RunFolder, tmp_path: Path) -> None:  # noqa: F811
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    (run.path / "plans" / "link").symlink_to(outside)
    with pytest.raises(RunError, match="no links"):
        RunFolder.open(run.path)


def test_a_run_folder_runs_no_code(run: RunFolder, call: Any, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    config = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text(config.replace("tiny_networks:", "evil:"))
    for verb in ("replay", "report"):
        call(verb, run.path, "--json")
    called = call("replay", run.path)
    assert called.code == 2
    assert "add --network evil:network" in called.errors[0]
    assert not (tmp_path / "ran").exists()


def test_a_profile_of_nothing_or_of_everything_is_refused(here: Path) -> None:
    loaded = resolve_network("tiny_networks:network")
    network = Network(loaded.model, loaded.example_inputs, multiple=2)
    profile = DeviceProfile.load("profile.json")
    free = replace(profile.predictor, intercept_ms=0.0, layers={}, steps={})
    endless = replace(profile.predictor, intercept_ms=1e308, layers={"0": {"macs": 1e308}})
    for predictor in (free, endless):
        with pytest.raises(ProfileError, match="positive, finite"):
            replace(profile, predictor=predictor).for_network(network)
    with pytest.raises(ProfileError, match="positive, finite"):
        replace(profile, energy=replace(profile.energy, watts=1e308, base_mj=1e308)).for_network(network)


def test_numbers_beyond_64_bits_are_refused_in_a_profile(here: Path) -> None:
    value = json.loads(Path("profile.json").read_text())
    for key in ("dense_latency_ms", "seed"):
        with pytest.raises(ProfileError, match=key):
            DeviceProfile.from_dict(sealed({**value, key: 10**400}))


def test_readings_of_text_are_not_used(tmp_path: Path) -> None:
    stored = PartialProfile(tmp_path / "p", {})
    stored.store_readings([EnergyReading((4,), 1.0, 1.0, 1.0)])
    path = tmp_path / "p.partial.json"
    assert len(PartialProfile(tmp_path / "p", {}).readings()) == 1
    path.write_text(path.read_text().replace('"energy_mj": 1.0', '"energy_mj": "1.0"'))
    assert PartialProfile(tmp_path / "p", {}).readings() == []


@pytest.mark.parametrize("name", ["/etc/passwd", "../../x", "*", "**", "epyc-*", ""])
def test_a_ready_profile_is_named_not_searched_for(name: str) -> None:
    with pytest.raises(DeviceError, match="ready profile"):
        open_source(f"ready:{name}")


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 5000])
def test_options_of_a_network_may_be_any_text(value: str) -> None:
    assert SourceName.parse(f"hf:bert?a={value}").options == {"a": value}
    with pytest.raises(NetworkError):
        SourceName.parse("hf:bert?a")


def test_a_plan_says_what_came_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    decisions = {"a": {"keep_ratio": "x" * 10_000}}
    path.write_text(json.dumps({"schema": "rlprune-plan/1", "fingerprint": "f", "decisions": decisions}))
    with pytest.raises(PlanError) as found:
        PruningPlan.load(path)
    assert len(str(found.value)) < 400


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 10**7}, "at most 1000 layers"),
        ({"hidden_size": 2**24, "intermediate_size": 2**24}, "half the memory"),
        ({"vocab_size": 2**40}, "half the memory|cannot build"),
        ({"vocab_size": "many"}, "cannot build"),
        ({"model_type": ["bert"]}, "cannot build|model_type"),
        ({"auto_map": {"AutoModel": "evil.Model"}, "model_type": "evil"}, "is not run"),
        ({"max_position_embeddings": 0}, "must be a positive number"),
    ],
)
def test_a_configuration_of_a_huge_or_foreign_network_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "num_hidden_layers": 1}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "bert", "vocab_size": 50, **sizes, **changes}))
    with pytest.raises(NetworkError, match=message):
        resolve_network(f"hf:{path}")


def test_a_picture_too_large_is_refused() -> None:
    pytest.importorskip("transformers")
    small = "hidden_size=32&num_attention_heads=4&intermediate_size=48&num_hidden_layers=1"
    with pytest.raises(NetworkError):
        resolve_network(f"hf:vit?image_size=1000000&patch_size=1000&{small}")
