"""Writes architectures.md: what is found in every architecture. Run ``python -m tests.architectures.generate``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlprune.networks.network import Network
from rlprune.support.files import write_atomic
from tests.architectures.architecture import Architecture
from tests.architectures.catalogue import ARCHITECTURES
from tests.architectures.checks import network_of

PAGE = Path(__file__).parent / "architectures.md"
OUTPUT = "its channels are an output of the network"
COLUMNS = ("name", "pattern", "groups", "channels", "layers left whole", "renormalised")
INTRODUCTION = f"""# Architectures

Small networks, {len(ARCHITECTURES)} of them, on which `tests/architectures/test_architectures.py` proves that groups
are found and cut rightly: every group alone and all together, at many widths, pruned networks run, train, are stored
and exported, cost what was predicted, and pruning channels that are dead changes nothing.

*Groups* and *channels* are what can be pruned. A channel may stand for more than one position, such as a head or a
convolution group. Layers are left whole because of the reason given; those that make the outputs are marked `out`.
*Renormalised* counts groups over which a statistic is taken (LayerNorm, means over channels), which changes when some
of their channels go: there the dense network with dead channels is no reference. The page is written by
`python -m tests.architectures.generate`.
"""


def line(architecture: Architecture, network: Network) -> str:
    """The line of one architecture."""
    renormalised = sum(bool(group.renormalizes) for group in network.groups)
    return table_line(
        (
            architecture.name,
            architecture.pattern,
            str(len(network.groups)),
            str(sum(group.width for group in network.groups)),
            left_whole(network.left_whole),
            str(renormalised or ""),
        )
    )


def table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def left_whole(reasons: Mapping[str, str]) -> str:
    """Layers by reason, in few words."""
    layers: dict[str, list[str]] = defaultdict(list)
    for layer, reason in reasons.items():
        layers["out" if reason.startswith(OUTPUT) else reason].append(f"`{layer}`")
    return "; ".join(f"{_few(names)}: {reason}" for reason, names in layers.items()).replace("|", "\\|")


def _few(names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def page() -> str:
    """The whole page."""
    lines = [table_line(COLUMNS), table_line(("---", "---", "--:", "--:", "---", "--:"))]
    lines += [line(architecture, network_of(architecture)) for architecture in ARCHITECTURES.values()]
    return "\n".join([INTRODUCTION, *lines, ""])


if __name__ == "__main__":
    write_atomic(PAGE, page())
