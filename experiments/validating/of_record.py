"""The claims that a run makes of itself: its versions and machine, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlprune.experiments.runs.result import TotalCost
from rlprune.experiments.runs.sessions import FILE as SESSIONS
from rlprune.experiments.runs.sessions import read_sessions
from rlprune.experiments.validating.claims import Claims, Tolerance
from rlprune.experiments.validating.comparing import EARLIER, Comparison
from rlprune.experiments.validating.rebuilding import Rebuilt
from rlprune.experiments.validating.recomputing import cost_of
from rlprune.experiments.validating.tolerances import LATER

STATED = (
    *("rlprune", "commit", "python", "torch", "numpy", "onnxruntime"),
    *("operating_system", "cpu", "cores", "memory_bytes"),
)
"""Versions and facts of the machine that every run states."""


def check_record(comparison: Comparison, rebuilt: Rebuilt, then: Mapping[str, Any]) -> None:
    """Versions and machine are stated; the cost is the sum of its parts."""
    claims, cost = comparison.claims, rebuilt.result.cost
    missing = [name for name in STATED if name not in then]
    claims.equal("versions and machine", "versions.json", "stated", f"without {missing}" if missing else "stated", "")
    if cost is None:
        claims.unchecked("cost", "of the run", None, EARLIER)
        return
    with claims.reading("sessions", SESSIONS, cost.sessions):
        sessions = read_sessions(rebuilt.run.path / SESSIONS)
        comparison.compare("of the run", cost, cost_of(rebuilt.result, cost, sessions))
        _check_energy(claims, cost, [session.energy_j for session in sessions])


def _check_energy(claims: Claims, cost: TotalCost, energies: Sequence[float | None]) -> None:
    known = [energy for energy in energies if energy is not None]
    if cost.energy_j is None:
        claims.unchecked("energy, J", "of the run", None, cost.energy_source)
    elif len(known) < len(energies):
        claims.differs("energy, J", "of the run", cost.energy_j, f"{SESSIONS} does not hold it of every session")
    else:
        later = Tolerance(0.01, LATER.absolute / max(cost.wall_seconds, 1.0), LATER.why)
        claims.check("energy, J", "of the run", cost.energy_j, sum(known), later)
