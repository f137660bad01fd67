"""Pieces of work as tasks of a Ray cluster. Nodes share no files: what is needed is sent, what was made comes back."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from rlprune.errors import ConfigError, RlpruneError, RunError
from rlprune.experiments.runs.interruption import stopping_on_sigterm
from rlprune.experiments.settings.yaml_file import CONFIG
from rlprune.experiments.sweeping.archive import unpack
from rlprune.experiments.sweeping.elsewhere import PROFILE, Parcel, Parcelled, work_on
from rlprune.experiments.sweeping.local import Ended
from rlprune.experiments.sweeping.orders import End, Order
from rlprune.support.files import write_atomic

LOCAL = "local"
TRIES = 3
POLL_S = 1.0
SHARE = 0.001
"""Of a node's resource that a task takes: it marks the node, and is not used up."""


@contextmanager
def connected(address: str, processes: int) -> Iterator[Any]:
    """The module ``ray``, connected to a cluster while the block runs.

    Args:
        address: of a cluster, or ``local`` for one on this machine with ``processes`` tasks at a time.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray = importlib.import_module("ray")
    except ImportError as reason:
        raise ConfigError(f"--ray needs Ray ({reason}). Get it: pip install 'rlprune[ray]'.") from reason
    here = {"num_cpus": processes, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, **here)
    except (ConnectionError, RuntimeError, ValueError, OSError) as reason:
        why = " ".join(str(reason).split())
        raise ConfigError(
            f"No Ray cluster answers at {address!r} ({why}). Start one with `ray start --head`."
        ) from reason
    try:
        with stopping_on_sigterm():  # Ray has put a handler of its own in the place of ours
            yield ray
    finally:
        ray.shutdown()


class RayRunner:
    """Works on orders in tasks of a Ray cluster; a task whose node is lost is begun again on another one.

    Args:
        ray: the module, connected.
        nodes: device to the resource of the nodes that have it; other devices' work goes anywhere.
        log_of: the log of an order, here.

    Raises:
        ConfigError: no node has a resource.
    """

    def __init__(self, ray: Any, nodes: Mapping[str, str], log_of: Callable[[str], Path]) -> None:
        self._ray, self._nodes, self._log_of = ray, nodes, log_of
        offered = ray.cluster_resources()
        for device, resource in nodes.items():
            if resource not in offered:
                raise ConfigError(
                    f"Work for {device} goes to nodes with the resource {resource!r}, and no node has it. Start one "
                    f"there: ray start --address=HEAD --resources='{{\"{resource}\": 1}}'"
                )

    def run(self, orders: Sequence[Order], ended: Ended) -> None:
        """Work on all orders; ``ended`` is told of each as it ends.

        Raises:
            KeyboardInterrupt: the user wants to stop; the tasks are ended.
        """
        working = {self._submitted(order): order for order in orders}
        try:
            while working:
                for reference in self._ray.wait(list(working), timeout=POLL_S)[0]:
                    order = working.pop(reference)
                    ended(order, self._taken(order, reference))
        finally:
            for reference in working:
                self._ray.cancel(reference, force=True)

    def _submitted(self, order: Order) -> Any:
        resource = self._nodes.get(order.device)
        options = {"num_cpus": 1, "max_retries": TRIES, "name": order.name}
        pinned = {} if resource is None else {"resources": {resource: SHARE}}
        return self._ray.remote(**options, **pinned)(work_on).remote(Parcel.of(order))

    def _taken(self, order: Order, reference: Any) -> End:
        """Put what came back where it belongs."""
        try:
            came: Parcelled = self._ray.get(reference)
        except self._ray.exceptions.RayError as reason:
            return End("failed", f"Ray: {' '.join(str(reason).split())}")
        try:
            write_atomic(self._log_of(order.name), f"On {came.node}\n{came.said}", RunError)
            if came.result is not None:
                settle(order, came.result)
        except RlpruneError as reason:
            return End("failed", str(reason))
        return came.end


def settle(order: Order, result: bytes) -> None:
    """Put what a piece of work wrote elsewhere where it would have written it here, at once.

    Raises:
        RunError: it is not what was to come, or it cannot be written.
    """
    out = Path(order.settings["out"])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as made:
            staged = Path(made) / "result"
            unpack(result, staged)
            if order.work == "profile":
                if (staged / PROFILE).is_file():
                    (staged / PROFILE).replace(out)
                return
            write_atomic(staged / CONFIG, yaml.safe_dump(_noted(order), sort_keys=False), RunError)
            if out.exists():
                out.rename(Path(made) / "before")
            staged.rename(out)
    except OSError as reason:
        raise RunError(f"Cannot write {out}: {reason.strerror or reason}.") from reason


def _noted(order: Order) -> dict[str, Any]:
    """The settings that a run notes of itself."""
    return {name: value for name, value in order.settings.items() if name != "resume"}
