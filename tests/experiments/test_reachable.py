"""Budgets out of reach are refused before a profile is measured, and budgets with few plans are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.devices import Device
from rlprune.errors import BudgetError
from rlprune.experiments.pipeline.device_profile import refuse_hopeless
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.settings.problem import ProblemConfig
from rlprune.networks.network import Network
from rlprune.zoo import resolve_network
from tests.experiments.conftest import QUICK, TINY, InventedRuntime


@pytest.fixture
def network(here: Path) -> Network:
    """Its latency in milliseconds, on the invented device: 0.01 + millions of MACs."""
    loaded = resolve_network("tiny_networks:network")
    return Network(loaded.model, loaded.example_inputs, multiple=2)


DEVICE = Device("cpu:onnxruntime", "cpu", InventedRuntime())


def told(network: Network, *budgets: str, decide: tuple[Any, ...] = ("channels",), watts: float | None = 5.0) -> str:
    """What is noted about the budgets, if they are not refused."""
    notes: list[str] = []
    progress = Progress()
    progress.note = notes.append  # type: ignore[method-assign]
    config = ProblemConfig(budget=list(budgets), watts=watts)
    refuse_hopeless(Space(network, Scope(decide)), DEVICE, config, progress)
    return " ".join(notes)


@pytest.mark.parametrize(
    "budget",
    ["latency=0.001", "latency=0.001..0.9", "latency=1us", "latency_p99=1us", "energy=0.001", "energy=1uJ"],
)
def test_what_the_smallest_network_misses_by_far_is_refused(network: Network, budget: str) -> None:
    with pytest.raises(BudgetError, match=r"measured quickly.*Ask for"):
        told(network, budget)


@pytest.mark.parametrize("budget", ["latency=0.5", "latency=0.5ms", "latency_p99=0.001", "macs=0.001", "energy=0.9"])
def test_what_may_be_met_passes(network: Network, budget: str) -> None:
    assert told(network, budget) == ""


def test_what_is_met_narrowly_is_told(network: Network) -> None:
    dense, least = (0.01 + float(network.macs(widths)[0]) / 1e6 for widths in (network.dense_widths, [2, 2, 2, 2]))
    assert "about the least that can be met" in told(network, f"latency={least / dense:.4f}")


def test_blocks_and_int8_are_left_to_the_profile(network: Network) -> None:
    assert told(network, "latency=0.001", decide=("channels", "bits")) == ""


def test_weights_alone_save_no_time(network: Network) -> None:
    with pytest.raises(BudgetError, match="nothing that is decided changes this cost"):
        told(network, "latency=0.5", decide=("weights",))


def test_a_training_is_refused_before_anything_is_measured_or_written(call: Any, here: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    called = call("train", *TINY, "--device", "cpu", "--budget", "latency=0.001", "--episodes", 12, "--out", out)
    assert called.code == 2
    assert "measured quickly" in called.errors[0]
    assert "Profiling" not in called.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("multiple", "budget", "remedy", "bar"),
    [
        (2, "macs=0.03", " Widths in finer steps give more plans: --multiple 1.", "12 of 12 new plans in . s; best"),
        (1, "macs=0.008", "", "0 of 12 new plans in . s; the others were known; best"),
    ],
)
def test_few_plans_are_told_before_the_search(
    call: Any, here: Path, tmp_path: Path, multiple: int, budget: str, remedy: str, bar: str
) -> None:
    called = call("train", *TINY, *QUICK, "--budget", budget, "--multiple", multiple, "--out", tmp_path / "run")
    assert called.code == 0, called.err
    found = re.search(
        rf"Only .* within latency=0.5, {budget} and uses? at least \S+% of it, as plans must.*", called.err
    )
    assert found is not None, called.err
    assert found[0].endswith(f": there is little to search for.{remedy}")
    assert re.search(f"random: {bar}: ", called.err)


def test_of_a_range_no_level_is_counted(call: Any, here: Path, tmp_path: Path) -> None:
    more = ("--budget", "macs=0.03..0.05", "--levels", 2, "--out", tmp_path / "run")
    called = call("train", *TINY, *QUICK, *more)
    assert called.code == 0, called.err
    assert "little to search" not in called.err
    assert not re.search("Only .* within", called.out)
