"""From settings to what is pruned and on which data: the network as groups, and its task."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from rlprune.choices.space import Space
from rlprune.errors import TaskError
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.networks.network import Network
from rlprune.tasks import Task, load_task
from rlprune.zoo import resolve_network
from rlprune.zoo.loaded import ExampleInputs


@dataclass(frozen=True, eq=False)
class Material:
    """What is pruned, and on which data.

    Attributes:
        name: as the network was asked for.
        space: what may be decided about it.
        known_task: None only where none is known and none was asked for.
    """

    name: str
    space: Space
    known_task: Task | None

    @property
    def network(self) -> Network:
        """With every width that rounding allows."""
        return self.space.network

    @property
    def task(self) -> Task:
        """Data and metric.

        Raises:
            TaskError: none is known for this network.
        """
        if self.known_task is None:
            raise TaskError(f"Network {self.name!r} does not say which task it was trained for. Name one with --task.")
        return self.known_task


def load_material(config: NetworkConfig, multiple: int) -> Material:
    """Load network and task; widths are multiples of ``multiple``.

    Raises:
        NetworkError, TaskError: see :func:`rlprune.zoo.resolve_network` and :func:`rlprune.tasks.load_task`.
    """
    loaded = resolve_network(config.network)
    name = config.task or loaded.task
    task = load_task(name, config.data_dir) if name else None
    examples = loaded.example_inputs
    if examples is None:
        if task is None:
            raise TaskError(
                f"Network {config.network!r} gives no example inputs; name a --task that has samples of them."
            )
        examples = task.calibration.take(1).arguments
    network = make_network(loaded.model, examples, config, multiple)
    return Material(config.network, Space(network, config.decisions()), task)


def make_network(model: nn.Module, examples: ExampleInputs, config: NetworkConfig, multiple: int) -> Network:
    """Find the groups, as the settings ask.

    Raises:
        NetworkError: see :class:`rlprune.networks.network.Network`.
    """
    rules = config.width_rules(multiple)
    return Network(
        model,
        examples,
        ignore=config.ignore,
        only=config.only,
        multiple=rules.multiple,
        minimum=rules.minimum,
        outputs=config.outputs,
    )
