"""Draws the rooms and arrows of docs/design.md from the imports: ``python -m tests.rooms``."""

from __future__ import annotations

from pathlib import Path

import networkx

from tests.imports import BARE, ROOT, import_graph

PAGE = ROOT / "docs" / "design.md"
BEGIN, END = "```mermaid\n", "```\n"
GROUND = ("rlprune", "rlprune/errors", "rlprune/arrays", "rlprune/support", "experiments")
"""What every room may import: arrows to it would tell nothing."""


def room_of(module: str) -> str:
    """``rlprune/plans``, ``agents``, ``experiments/runs``: the folder that a module counts to."""
    first, *rest = module.split(".")[1:] or [""]
    if first in BARE:
        inner = f"/{rest[0]}" if first == "experiments" and rest else ""
        return f"{first}{inner}"
    return f"rlprune/{first}" if first else "rlprune"


def arrows(root: Path) -> list[tuple[str, str]]:
    """Which room imports which, without what follows from other arrows."""
    between = {(room_of(module), room_of(target)) for module, target in import_graph(root)}
    graph = networkx.DiGraph(
        (here, there)
        for here, there in between
        if here != there and here not in GROUND and there not in GROUND and "benchmarks" not in here
    )
    return sorted(networkx.transitive_reduction(graph).edges)


def picture(root: Path = ROOT) -> str:
    lines = [f"    {here} --> {there}" for here, there in arrows(root)]
    return "\n".join([f"{BEGIN}flowchart TD", *lines, END])


def write() -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin = text.index(BEGIN)
    end = text.index(END, begin + len(BEGIN)) + len(END)
    PAGE.write_text(text[:begin] + picture() + text[end:], encoding="utf-8")


if __name__ == "__main__":
    write()
