"""A plan: what happens to every group of one network. Readable JSON that needs no RL to be applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from rlprune.errors import PlanError
from rlprune.files import read_json, write_json
from rlprune.network import IntArray, Network
from rlprune.pruning import importance, surgery, verification

SCHEMA = "rlprune-plan/1"
REMEDY = "Make a plan for this network, or replay the policy on it."


@dataclass(frozen=True)
class Decision:
    """What happens to one group.

    Attributes:
        keep_ratio: fraction of the channels kept, in (0, 1].
    """

    keep_ratio: float

    def __post_init__(self) -> None:
        ratio = self.keep_ratio
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 1:
            raise PlanError(f"keep_ratio must be a number in (0, 1]; {ratio!r:.80} came. Use 1 to keep everything.")


@dataclass(frozen=True)
class PruningPlan:
    """One decision per group of one network.

    Attributes:
        fingerprint: :attr:`Network.fingerprint` of the network it was made for.
        decisions: group name -> decision, in forward order.
        notes: free text and figures for readers; not used.
    """

    fingerprint: str
    decisions: Mapping[str, Decision]
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_widths(
        cls, network: Network, widths: npt.ArrayLike, notes: Mapping[str, Any] | None = None
    ) -> PruningPlan:
        """The plan that leaves ``widths`` (``[G]``) channels in the groups of ``network``."""
        row = network.as_matrix(widths)[0]
        pairs = zip(network.groups, row, strict=True)
        decisions = {group.name: Decision(float(width) / group.width) for group, width in pairs}
        return cls(network.fingerprint, decisions, dict(notes or {}))

    @classmethod
    def load(cls, path: str | Path) -> PruningPlan:
        """Read a plan.

        Raises:
            PlanError: the file is missing, truncated, of another schema, or holds a keep ratio outside (0, 1].
        """
        data = read_json(path, PlanError)
        if data.get("schema") != SCHEMA:
            raise PlanError(f"{path} must have schema {SCHEMA!r}; {data.get('schema')!r:.80} came. Is it a plan?")
        decisions, fingerprint, notes = data.get("decisions"), data.get("fingerprint"), data.get("notes", {})
        if not isinstance(decisions, dict) or not isinstance(fingerprint, str) or not isinstance(notes, dict):
            raise PlanError(f"{path} must hold 'decisions' (an object) and 'fingerprint' (text). Is it a plan?")
        return cls(fingerprint, {name: _decision(path, name, item) for name, item in decisions.items()}, notes)

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON, atomically."""
        decisions = {name: {"keep_ratio": item.keep_ratio} for name, item in self.decisions.items()}
        content = {"schema": SCHEMA, "fingerprint": self.fingerprint, "decisions": decisions, "notes": dict(self.notes)}
        return write_json(path, content, PlanError)

    def widths(self, network: Network) -> IntArray:
        """Channel counts ``int64 [G]``: every keep ratio rounded to the nearest allowed width, never 0.

        Raises:
            PlanError: the plan belongs to another network; the first group that differs is named.
        """
        self._check(network)
        rows = []
        for group in network.groups:
            wanted = self.decisions[group.name].keep_ratio * group.width
            rows.append(_nearest(group.widths, wanted))
        return np.array(rows, dtype=np.int64)

    def _check(self, network: Network) -> None:
        theirs, ours = list(self.decisions), [group.name for group in network.groups]
        for index in range(max(len(theirs), len(ours))):
            got = theirs[index] if index < len(theirs) else "nothing"
            wanted = ours[index] if index < len(ours) else "nothing"
            if got != wanted:
                raise PlanError(
                    f"A plan fits only the network it was made for; group {index} is {got!r} in the plan and "
                    f"{wanted!r} in the network. {REMEDY}"
                )
        if self.fingerprint != network.fingerprint:
            raise PlanError(
                "A plan fits only the network it was made for; the group names agree, but widths, layer shapes or the "
                f"input size differ. {REMEDY}"
            )

    def apply(self, network: Network) -> nn.Module:
        """A plain, physically smaller copy of the network: the channels of largest L1 norm stay.

        Needs no data. For channels chosen on data and weights repaired by least squares, use
        :meth:`rlprune.pruning.tables.PruningTables.pruned`.

        Raises:
            PlanError: the plan belongs to another network, or the network's code behaves otherwise at these widths.
        """
        widths = self.widths(network)
        if (reason := verification.plan_is_wrong(network, widths)) is not None:
            raise PlanError(f"A plan must give a network that computes what is left of the dense one; here {reason}.")
        kept = {}
        for group, width in zip(network.groups, widths, strict=True):
            order = importance.l1(network, group).argsort(descending=True, stable=True)
            kept[group.name] = order[: int(width)].sort().values
        return surgery.prune(network, kept)


def _nearest(widths: Sequence[int], wanted: float) -> int:
    """The nearest width; of two equally near ones the larger."""
    return min(widths, key=lambda width: (abs(width - wanted), -width))


def _decision(path: str | Path, name: str, item: Any) -> Decision:
    if not isinstance(item, dict) or "keep_ratio" not in item:
        raise PlanError(f"{path}: the decision of {name!r} must be an object with 'keep_ratio'; {item!r:.80} came.")
    try:
        return Decision(item["keep_ratio"])
    except PlanError as reason:
        raise PlanError(f"{path}, group {name!r}: {reason}") from reason
