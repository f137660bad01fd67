"""Budgets and costs in words: digits that tell, and what to ask for instead of the impossible."""

from __future__ import annotations

import re

import pytest

from rlprune.budgets.limits import Budget, beside, format_cost, impossible


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("latency", 8.2, "8.2 ms"),
        ("latency", 5.87e-5, "0.0587 us"),
        ("latency", 0.00968, "0.00968 ms"),
        ("latency", 1234.5, "1234 ms"),
        ("latency_p99", 150_000.0, "150 s"),
        ("latency", 0.0, "0 ms"),
        ("energy", 0.0002, "0.2 uJ"),
        ("macs", 61_300_000, "61.3 M"),
        ("params", 900, "900"),
        ("macs", 216.022, "216"),
        ("latency", 999.7, "1000 ms"),
        ("size", 601, "601.0 B"),
        ("size", 123_456, "123.5 kB"),
    ],
)
def test_costs_have_no_exponents(metric: str, value: float, text: str) -> None:
    assert format_cost(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "one", "other", "texts"),
    [
        ("latency", 0.0063, 0.0063004, ("0.0063 ms", "0.0063004 ms")),
        ("macs", 1_000_001, 1_000_002, ("1.000001 M", "1.000002 M")),
        ("macs", 5.0, 5.0, ("5", "5")),
        ("latency", 0.5, 0.9, ("0.5 ms", "0.9 ms")),
    ],
)
def test_costs_that_differ_look_different(metric: str, one: float, other: float, texts: tuple[str, str]) -> None:
    assert beside(metric, one, other) == texts


@pytest.mark.parametrize(
    ("budget", "needed", "dense", "wanted"),
    [
        ("latency=0.5", 0.00968, 0.01784, "latency=0.543"),
        ("latency=0.0063ms", 0.0063004, 0.02, "latency=0.00631ms"),
        ("latency=1us", 0.0098, 0.01, "latency=0.0098ms"),
        ("energy=0.1mJ", 0.1531, 0.3, "energy=0.154mJ"),
        ("macs=10", 66_800, 2e6, "macs=66.8k"),
        ("macs=0.001", 66_800, 2e6, "macs=0.0334"),
        ("params=30M", 42e6, 88e6, "params=42M"),
        ("size=1kB", 23_456, 1e6, "size=23500B"),
    ],
)
def test_who_asks_for_the_impossible_is_told_what_can_be_met(
    budget: str, needed: float, dense: float, wanted: str
) -> None:
    text = str(impossible(Budget.parse(budget), needed, dense))
    found = re.search(r"Ask for (\S+) or more\.$", text)
    assert found is not None
    assert found[1] == wanted
    assert Budget.parse(wanted).limit(dense) >= needed * (1 - 1e-12)
    allowed, shown = re.findall(r"it allows (.*), and the smallest plan needs (.*), ", text)[0]
    assert allowed != shown


@pytest.mark.parametrize(
    ("budget", "needed", "dense", "told"),
    [
        ("latency=0.001", 0.00709, 0.00765, ("0.00765 us", "7.09 us", "7.65 us")),
        ("latency=0.0001ms", 0.0181, 1.05, ("0.0001 ms", "0.0181 ms", "1.05 ms")),
        ("latency=0.001us", 0.0181, 1.05, ("0.000001 ms", "0.0181 ms", "1.05 ms")),
        ("energy=0.1", 0.5, 1.0, ("0.1 mJ", "0.5 mJ", "1 mJ")),
        ("macs=0.01", 300.5, 21602.2, ("216", "300", "21.6 k")),
    ],
)
def test_the_impossible_is_told_in_one_unit(budget: str, needed: float, dense: float, told: tuple[str, ...]) -> None:
    text = str(impossible(Budget.parse(budget), needed, dense))
    found = re.search(r"it allows (.*), and the smallest plan needs (.*), \S+% of the dense network's (.*)\. Ask", text)
    assert found is not None
    assert found.groups() == told
