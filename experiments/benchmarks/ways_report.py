"""Tables of the benchmark ``evaluation_ways``, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlprune.experiments.runs.tables import markdown, print_table

HEADS = (
    *("way", "start-up\nms", "run\nms", "first run\n+ ms", "total\nms", "run /\nfirst way", "total /\ntoday's"),
    *("rho,\nown kind", "largest\ndifference", "rho,\ntoday's"),
)
PREFIX_HEADS = ("search", "distinct\nplans", "common\ndecisions", "of\ngroups", "share of\nMACs", "share of\ntime")


def show(network: Mapping[str, Any]) -> None:
    """Print both tables of one network."""
    print_table(_title(network), HEADS, _way_cells(network))
    for sentence in _left_out(network):
        print(sentence)
    print_table("Forward shared with earlier plans, at most", PREFIX_HEADS, _prefix_cells(network))


def as_markdown(report: Mapping[str, Any]) -> str:
    """Both tables of each network, and what they were measured on."""
    parts = [f"Processor: {report['processor']}, one thread. Budget {report['settings']['budget']}."]
    for network in report["networks"]:
        parts += [f"## {network['network']}", _title(network), _markdown(HEADS, _way_cells(network))]
        parts += ["\n".join(f"- {sentence}" for sentence in _left_out(network))] if network["left_out"] else []
        parts += ["Forward shared with earlier plans of the same search, at most (means):"]
        parts += [_markdown(PREFIX_HEADS, _prefix_cells(network))]
    return "\n\n".join([*parts, _legend()]) + "\n"


def _title(network: Mapping[str, Any]) -> str:
    load = network["other_load"]
    told = "other load unknown" if load is None else f"{load:.1f} cores busy with other programs"
    return f"{network['network']}: {len(network['plans'])} plans, {network['samples']} samples, {told}"


def _legend() -> str:
    return (
        "Milliseconds are medians over plans, ratios medians of ratios within a plan. First run: what it takes longer "
        "than the next. Total: start-up, run and that. Today's: batch statistics in one batch, as a search does with "
        "at least 512 samples. Rho and largest difference: divergences against those of one batch in torch with the "
        "same kind of BatchNorm statistics; the last column against today's."
    )


def _markdown(heads: tuple[str, ...], cells: list[list[str]]) -> str:
    return markdown([head.replace("\n", " ") for head in heads], cells)


def _left_out(network: Mapping[str, Any]) -> list[str]:
    return [f"{way} is left out: {reason}" for way, reason in network["left_out"].items()]


def _way_cells(network: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            row["way"],
            *(f"{row[key]:.1f}" for key in ("start_ms", "run_ms", "first_run_surcharge_ms", "total_ms")),
            *(f"{row[key]:.2f}" for key in ("run_to_first_way", "total_to_today")),
            _rho(row["rho"]),
            f"{row['largest_difference']:.1e}",
            _rho(row["rho_today"]),
        ]
        for row in network["rows"]
    ]


def _rho(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _prefix_cells(network: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            method,
            str(found["distinct_plans"]),
            f"{found['common_decisions']:.1f}",
            str(found["groups"]),
            *(f"{found[key]:.1%}" for key in ("macs_share", "time_share")),
        ]
        for method, found in network["shared_prefix"].items()
    ]
