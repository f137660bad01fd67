"""Pieces of work as tasks of a Ray cluster. Nodes share no files: what is needed is sent, what was made comes back."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlprune.errors import ConfigError, RlpruneError, RunError
from rlprune.experiments.runs.interruption import stopping_on_sigterm
from rlprune.experiments.sweeping.elsewhere import Parcel, Parcelled, take, work_on_parcel
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
        return self._ray.remote(**options, **pinned)(work_on_parcel).remote(Parcel.of(order))

    def _taken(self, order: Order, reference: Any) -> End:
        """Put what came back where it belongs."""
        try:
            came: Parcelled = self._ray.get(reference)
        except self._ray.exceptions.RayError as reason:
            return End("failed", f"Ray: {' '.join(str(reason).split())}")
        try:
            write_atomic(self._log_of(order.name), f"On {came.node}\n{came.said}", RunError)
            if came.result:
                take(order, came.result)
        except RlpruneError as reason:
            return End("failed", str(reason))
        return came.end
