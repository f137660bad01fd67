"""``rlprune sweep --ray``: the same results as here, also where a node is lost meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.experiments.conftest import content

SETTINGS = {
    "network": "tiny_networks:network",
    "task": "tiny_networks:task",
    "samples": 32,
    "multiple": 2,
    "episodes": 150,
    "finalists": 2,
    "baselines": [],
}
OVER = {"device": ["profile.json"], "budget": ["macs=0.6", "latency=0.6", "latency=0.7"], "seed": [0]}
MEMORY = 100 * 2**20


def write_study(here: Path, over: dict[str, Any], **more: Any) -> str:
    (here / "ray.yaml").write_text(yaml.safe_dump({"settings": SETTINGS, "over": over, **more}, sort_keys=False))
    return "ray.yaml"


def content_and_settings(run: Path) -> dict[str, Any]:
    config = yaml.safe_load((run / "config.yaml").read_text()) | {"out": None}
    return {**content(run), "config": config}


def contents(out: Path) -> dict[str, Any]:
    return {run.name: content_and_settings(run) for run in sorted((out / "members").iterdir())}


def test_without_ray_it_is_said_how_to_get_it(here: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    called = call("sweep", write_study(here, OVER), "--out", "no-ray", "--ray", "local")
    assert called.code == 2
    assert "pip install 'rlprune[ray]'" in called.err
    assert not (here / "no-ray" / "study.yaml").exists()


def test_a_device_that_any_node_might_measure_is_refused(here: Path, call: Any) -> None:
    study = write_study(here, {"device": ["cuda"], "budget": ["latency=0.5"], "seed": [0]})
    called = call("sweep", study, "--out", "unpinned", "--ray", "127.0.0.1:1")
    assert called.code == 2
    assert "Name their Ray resource in the study: 'nodes: {cuda: RESOURCE}'" in called.err
    assert not (here / "unpinned").exists()


@dataclass(frozen=True)
class Nodes:
    """A cluster on this machine, and the folder where its tasks work."""

    cluster: Any
    folder: Path

    def working(self) -> int:
        """How many members are being searched for."""
        journals = self.folder.glob("rlprune-*/result/evaluations.jsonl")
        return sum(journal.read_text().count("\n") > 3 for journal in journals)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A cluster whose head takes one task at a time. It has a folder of its own: paths of sockets must be short."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with (
        tempfile.TemporaryDirectory(prefix="rr-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else a token is written into the home folder
        head = {"num_cpus": 1, "resources": {"steady": 1}, "object_store_memory": MEMORY, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield Nodes(cluster, Path(folder))
        finally:
            cluster.shutdown()


def begin(here: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rlprune.experiments.cli", "sweep", *map(str, arguments), "--json"]
    return subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_node_is_lost_and_the_results_are_those_of_here(here: Path, call: Any, nodes: Nodes) -> None:
    study = write_study(here, OVER)
    assert call("sweep", study, "--out", "at-home", "--processes", 2).code == 0
    lost = nodes.cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
    nodes.cluster.wait_for_nodes()
    sweeping = begin(here, study, "--out", "away", "--ray", nodes.cluster.address)
    until = time.monotonic() + 200
    while nodes.working() < 2:
        assert time.monotonic() < until
        assert sweeping.poll() is None, sweeping.communicate()
        time.sleep(0.05)
    nodes.cluster.remove_node(lost, allow_graceful=False)
    out, err = sweeping.communicate(timeout=900)
    assert sweeping.returncode == 0, err
    answer = json.loads(out)
    assert answer["counts"]["complete"] == len(answer["members"]) == 3
    assert contents(here / "away") == contents(here / "at-home")
    assert (here / "away" / "logs" / "profile-macs0.6-seed0.txt").read_text().startswith("On ")
    begun = len(list(nodes.folder.glob("rlprune-*/result")))
    assert begun >= 1  # what the lost node left behind


@pytest.mark.slow
def test_a_device_is_measured_by_the_node_that_has_it(here: Path, nodes: Nodes) -> None:
    over = {"device": ["synthetic:gpu"], "budget": ["latency=0.9"], "seed": [0], "profile_plans": [16]}
    study = write_study(here, over, nodes={"synthetic:gpu": "steady"})
    measuring = begin(here, study, "--out", "pinned", "--ray", nodes.cluster.address)
    out, err = measuring.communicate(timeout=900)
    assert measuring.returncode == 0, err
    (profile,) = (here / "pinned" / "profiles").glob("*.json")
    run = Path(json.loads(out)["members"][0]["run"])
    assert json.loads((here / run / "profile.json").read_text()) == json.loads(profile.read_text())

    study = write_study(here, over, nodes={"synthetic:gpu": "missing"})
    refused = begin(here, study, "--out", "nowhere", "--ray", nodes.cluster.address)
    _, err = refused.communicate(timeout=100)
    assert refused.returncode == 2
    assert "goes to nodes with the resource 'missing', and no node has it" in err
