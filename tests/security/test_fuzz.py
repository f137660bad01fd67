"""Every reader of files, on thousands of spoilt ones: a named error or a whole object, and nothing is ever run."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy, one_of

from rlprune.agents.policy import Policy
from rlprune.delivery.compact.file import Stored, load_compact, save_compact
from rlprune.devices.grid import LayerProfile
from rlprune.devices.profiles.digest import sealed
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.records import EnergyReading
from rlprune.devices.profiling.partial import PartialProfile
from rlprune.devices.ready import FOLDER
from rlprune.devices.sources import open_source
from rlprune.errors import RlpruneError
from rlprune.evaluation.quality import Quality
from rlprune.experiments.cli.parser import parse
from rlprune.experiments.cli.verbs import VERBS
from rlprune.experiments.comparing.comparison import compare_runs
from rlprune.experiments.fronting.joining import join_fronts
from rlprune.experiments.reports.report import write_report
from rlprune.experiments.runs.episodes import read_csv
from rlprune.experiments.runs.journal import Evaluation, Journal
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.settings.result_configs import CompareConfig, FrontConfig
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.tasks.cifar10 import RECORD_BYTES, TEST_FILE, TRAIN_FILES, cifar10
from rlprune.tasks.fashion_mnist import fashion_mnist
from rlprune.tasks.idx import read_idx
from rlprune.tasks.idx_images import PARTS
from rlprune.zoo import resolve_network
from tests.security.mutations import CANARY, spoilt_bytes, spoilt_settings, spoilt_table, spoilt_tree
from tests.security.recording import LEFT_OUT, RECORDED, keys_of

EFFORT = pytest.mark.parametrize("effort", [1, pytest.param(10, marks=pytest.mark.slow)], ids=["quick", "long"])
Read = Callable[[], None]


def fuzz(path: Path, contents: SearchStrategy[bytes], read: Read, examples: int) -> None:
    """Write each spoilt content to ``path`` and read it; put the file back as it was."""
    whole, outcomes = path.read_bytes(), {"read": 0, "refused": 0}

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
    )
    @given(contents)
    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read()
        except RlpruneError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of matplotlib, about odd limits and letters
            check()
    finally:
        path.write_bytes(whole)
    assert outcomes["refused"] > 0, outcomes
    read()
    assert not Path(CANARY).exists()


def either(path: Path, seal: Any = None) -> SearchStrategy[bytes]:
    """Spoilt bytes and spoilt trees of a JSON file."""
    content = path.read_bytes()
    tree = json.loads(content)
    sealing = [spoilt_tree(tree, seal)] if seal is not None else []
    return one_of(spoilt_bytes(content), spoilt_tree(tree), *sealing)


@pytest.fixture
def network(here: Path) -> Network:
    """The network of the run."""
    loaded = resolve_network("tiny_networks:network")
    return Network(loaded.model, loaded.example_inputs, multiple=2)


@pytest.fixture
def run(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A copy of the recorded run, in a working folder of its own."""
    shutil.copytree(RECORDED, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return RunFolder.open("run")


def promises(profile: DeviceProfile, network: Network) -> None:
    """Latency and energy of any plan are positive and finite."""
    generator = np.random.default_rng(0)
    plans = np.array([[generator.choice(group.widths) for group in network.groups] for _ in range(8)])
    latency = profile.predictor.bind(network)(plans)
    energy = profile.energy(latency, network.macs(plans))
    for values in (latency, energy, *(tail(latency) for tail in profile.tails.values())):
        assert np.isfinite(values).all()
        assert (values > 0).all()


def test_the_recorded_run_is_like_one_of_today(trained: Any) -> None:
    """Else: ``python -m tests.security.recording``."""
    files = {path.name for path in trained.path.iterdir() if not any(path.match(left) for left in LEFT_OUT)}
    assert {path.name for path in RECORDED.iterdir()} == files
    for name in ("policy.json", "profile.json", "result.json", "sessions.json", "status.json"):
        recorded, today = (json.loads((folder / name).read_bytes()) for folder in (RECORDED, trained.path))
        assert keys_of(recorded) == keys_of(today), name
    for name in ("episodes-ddpg.csv", "config.yaml"):
        recorded, today = (
            re.findall(r"^[a-z][^:\n]*", (folder / name).read_text(), re.M) for folder in (RECORDED, trained.path)
        )
        assert recorded == today, name


@EFFORT
def test_plans(run: RunFolder, network: Network, tmp_path: Path, effort: int) -> None:
    path, again = run.path / "plan.json", tmp_path / "again.json"

    def read() -> None:
        plan = PruningPlan.load(path)
        plan.save(again)
        assert PruningPlan.load(again) == plan
        widths = plan.widths(network)
        assert all(0 < width <= group.width for width, group in zip(widths, network.groups, strict=True))

    fuzz(path, either(path), read, 400 * effort)


@EFFORT
def test_profiles(run: RunFolder, network: Network, tmp_path: Path, effort: int) -> None:
    path, again = run.path / "profile.json", tmp_path / "again.json"

    def read() -> None:
        source = open_source(str(path))
        profile = source.for_network(network)
        assert isinstance(source, DeviceProfile)
        source.save(again)
        assert DeviceProfile.load(again) == source
        promises(profile, network.restricted(profile.widths))
        assert profile.warnings("here")

    fuzz(path, either(path, sealed), read, 600 * effort)


@EFFORT
def test_profiles_of_layers(network: Network, tmp_path: Path, effort: int) -> None:
    path, again = tmp_path / "layers.json", tmp_path / "again.json"
    shutil.copy(FOLDER / "epyc-onnxruntime--layers.json", path)
    zoo = resolve_network("digits-resnet")
    digits = Network(zoo.model, zoo.example_inputs)

    def read() -> None:
        source = open_source(str(path))
        profile = source.for_network(digits)
        if isinstance(source, LayerProfile):
            source.save(again)
            assert LayerProfile.load(again) == source
        promises(profile, digits)

    fuzz(path, either(path, sealed), read, 250 * effort)


@EFFORT
def test_unfinished_profiles_are_used_whole_or_not_at_all(tmp_path: Path, effort: int) -> None:
    profile, key = tmp_path / "profile.json", {"network": "x", "seed": 0}
    stored = PartialProfile(profile, key)
    stored.store("fit", [np.full((2, 3), 0.5), np.full((2, 3), 0.25)])
    stored.store_readings([EnergyReading((4, 8), 1.5, 0.5, 2.0)])
    path = tmp_path / "profile.json.partial.json"

    def read() -> None:
        found = PartialProfile(profile, key)
        for item in found.rounds("fit", (2, 3)):
            assert item.shape == (2, 3)
            assert (np.isfinite(item) & (item > 0)).all()
        for reading in found.readings():
            assert 0 < reading.energy_mj < np.inf
        if path.read_bytes() != whole:
            raise RlpruneError("counted as refused: a partial profile that does not fit is not an error")

    whole = path.read_bytes()
    fuzz(path, either(path), read, 300 * effort)


@EFFORT
@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_policies(run: RunFolder, name: str, effort: int) -> None:
    path = run.path / name
    contents = either(path) if name.endswith("json") else one_of(spoilt_bytes(path.read_bytes()), spoilt_header(path))

    def read() -> None:
        policy = Policy.load(run.path)
        slots = policy.spec.sizes[0]
        for observation in (np.zeros(slots, np.float32), np.ones(slots, np.float32), -np.ones(slots, np.float32)):
            action = policy.act(observation)
            assert action.shape == (len(policy.spec.actions),)
            assert (np.abs(action) <= 1).all()

    fuzz(path, contents, read, 300 * effort)


def spoilt_header(path: Path) -> SearchStrategy[bytes]:
    """A safetensors file whose JSON header is spoilt, its length set right."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    headers = spoilt_tree(json.loads(content[8:end]))
    return headers.map(lambda header: len(header).to_bytes(8, "little") + header + content[end:])


@EFFORT
def test_compact_networks(tmp_path: Path, effort: int) -> None:
    path, again = tmp_path / "net.safetensors", tmp_path / "again.safetensors"
    mask = torch.tensor([[True, False, False, False, False, True, False, False] * 4] * 3)
    weight = torch.arange(96).view(3, 32) / 7 - 5
    ways = {
        "sparse": Stored(8, 0, mask),
        "mean": Stored(4, 1, mask.roll(1), mean=True),
        "dense": Stored(4, 0, ~torch.eye(3, 32, dtype=torch.bool), mean=True),
        "halves": Stored(16, 1, mask),
    }
    save_compact(path, dict.fromkeys(ways, weight) | {"plain": weight.clone(), "count": torch.tensor(3)}, ways)

    def read() -> None:
        loaded = load_compact(path)
        for key in ways.keys() & loaded.keys():
            assert loaded[key].dtype != torch.float32 or torch.isfinite(loaded[key]).all()
        save_compact(again, loaded, {})
        assert all(torch.equal(loaded[key].isnan(), value.isnan()) for key, value in load_compact(again).items())

    fuzz(path, one_of(spoilt_bytes(path.read_bytes()), spoilt_header(path), spoilt_forms(path)), read, 300 * effort)


def spoilt_forms(path: Path) -> SearchStrategy[bytes]:
    """A compact file whose description of tensors, which is JSON in the JSON header, is spoilt."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])

    def described(metadata: bytes) -> bytes:
        header["__metadata__"] = {"rlprune": metadata.decode("utf-8", "replace")}
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + content[end:]

    return spoilt_tree(json.loads(header["__metadata__"]["rlprune"])).map(described)


@EFFORT
def test_tables_of_episodes(run: RunFolder, effort: int) -> None:
    path = run.episodes("ddpg")
    content = path.read_bytes()

    def read() -> None:
        table = read_csv(path)
        lengths = {len(column) for column in table.columns.values()} | {len(table.widths)}
        assert len(lengths) == 1
        assert np.isfinite(table["reward"]).all()
        assert table.widths.ndim == 2

    fuzz(path, one_of(spoilt_bytes(content), spoilt_table(content.decode())), read, 500 * effort)


@EFFORT
def test_journals(tmp_path: Path, effort: int) -> None:
    journal = Journal(tmp_path)
    for score in (0.5, float("nan")):
        journal.add(Evaluation.of("ddpg", (4, 8), (Quality(score, 0.1, 32), 0.01), 0.1, 1e9))
    journal.close()
    content = journal.path.read_bytes()
    line = json.loads(content.splitlines()[1])
    lines = spoilt_tree(line).map(lambda spoilt: content.replace(content.splitlines()[1], spoilt))

    def read() -> None:
        found = Journal(tmp_path)
        memory = found.memory_of("ddpg")
        found.close()
        for quality, seconds in memory.recall([(4, 8)] * len(memory)):
            assert quality.samples > 0
            assert 0 <= seconds < np.inf

    fuzz(journal.path, one_of(spoilt_bytes(content), lines), read, 300 * effort)


@EFFORT
def test_settings_of_a_run(run: RunFolder, effort: int) -> None:
    path = run.path / "config.yaml"
    content = path.read_bytes()

    def read() -> None:
        config = run.config()
        config.check()
        assert config.folder()

    fuzz(path, one_of(spoilt_bytes(content), spoilt_settings(content.decode())), read, 200 * effort)


@EFFORT
def test_settings_of_the_command_line(run: RunFolder, effort: int) -> None:
    path = run.path / "config.yaml"
    content = path.read_bytes()

    def read() -> None:
        config, as_json = parse(VERBS["train"], ["--config", str(path)])
        config.check()
        assert not as_json
        assert all(isinstance(text, str) for text in (*config.budget, *config.ignore, config.network))

    fuzz(path, one_of(spoilt_bytes(content), spoilt_settings(content.decode())), read, 60 * effort)


@EFFORT
def test_results(run: RunFolder, effort: int) -> None:
    path, other = run.path / "result.json", Path("other")
    shutil.copytree(run.path, other)

    def read() -> None:
        assert run.result().searches
        compared = compare_runs(CompareConfig(runs=[str(other), str(run.path)]))
        assert json.dumps(compared.as_dict(), allow_nan=False)
        assert compared.as_markdown()

    fuzz(path, either(path), read, 300 * effort)


@EFFORT
def test_fronts(run: RunFolder, effort: int) -> None:
    path, other = run.path / "result.json", Path("other")
    shutil.copytree(run.path, other)
    objectives = ["accuracy", "macs", "params"]

    def read() -> None:
        found = join_fronts(FrontConfig(runs=[str(other), str(run.path)], objective=objectives))
        assert json.dumps(found.as_dict(), allow_nan=False)
        assert found.as_markdown()

    fuzz(path, either(path), read, 200 * effort)


@EFFORT
def test_reports(run: RunFolder, effort: int) -> None:
    path = run.path / "result.json"
    fuzz(path, spoilt_tree(json.loads(path.read_bytes())), lambda: str(write_report(run)), 6 * effort)


@EFFORT
def test_status(run: RunFolder, effort: int) -> None:
    path = run.path / "status.json"
    fuzz(path, either(path), lambda: str(RunFolder.open(run.path, "result.json")), 200 * effort)


@EFFORT
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files(tmp_path: Path, effort: int, zipped: bool) -> None:
    path = tmp_path / "images"
    content = bytes((0, 0, 8, 3)) + np.array([3, 2, 2], ">u4").tobytes() + bytes(range(12))
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)

    def read() -> None:
        images = read_idx(path, 3)
        assert images.ndim == 3
        assert images.dtype == np.uint8

    fuzz(path, spoilt_bytes(path.read_bytes()), read, 300 * effort)


@EFFORT
def test_fashion_mnist(tmp_path: Path, effort: int) -> None:
    for part in PARTS:
        images = bytes((0, 0, 8, 3)) + np.array([20, 28, 28], ">u4").tobytes() + bytes(20 * 28 * 28)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(images)
        labels = bytes((0, 0, 8, 1)) + np.array([20], ">u4").tobytes() + bytes([*range(10)] * 2)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    path = tmp_path / "train-labels-idx1-ubyte"

    def read() -> None:
        task = fashion_mnist(tmp_path, validation=5, calibration=5)
        assert len(task.calibration) == 5
        assert 0 <= int(task.validation.targets.min()) <= int(task.validation.targets.max()) < 10

    fuzz(path, spoilt_bytes(path.read_bytes()), read, 200 * effort)


@EFFORT
def test_cifar10(tmp_path: Path, effort: int) -> None:
    for name in (*TRAIN_FILES, TEST_FILE):
        (tmp_path / name).write_bytes(b"".join(bytes([label]) + bytes(RECORD_BYTES - 1) for label in range(4)))
    path = tmp_path / TRAIN_FILES[0]

    def read() -> None:
        task = cifar10(tmp_path, validation=5, calibration=5)
        assert 0 <= int(task.calibration.targets.min()) <= int(task.calibration.targets.max()) < 10

    fuzz(path, spoilt_bytes(path.read_bytes()), read, 200 * effort)
