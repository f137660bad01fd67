"""Which blocks of a network can be dropped, and what each is worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlprune.errors import RlpruneError
from rlprune.experiments.pipeline.reasons import grouped
from rlprune.experiments.settings.verb_configs import InspectConfig
from rlprune.networks.network import Network
from rlprune.pruning.blocks.blocks import macs_without, params_without
from rlprune.pruning.blocks.depth import block_errors
from rlprune.pruning.blocks.droppable import find_blocks
from rlprune.tasks import Split, load_task

BLOCK_COLUMNS = ("block", "MACs saved\nwithout it", "params saved\nwithout it", "how much it\nchanges its input")
SAMPLES = 64


def calibration_samples(config: InspectConfig, own_task: str | None) -> Split | None:
    """Some samples of the task that was asked for, or of the network's own where its files are there.

    Raises:
        RlpruneError: the task that was asked for cannot be loaded.
    """
    name = config.task or own_task
    if name is None:
        return None
    try:
        return load_task(name, config.data_dir).calibration.take(SAMPLES)
    except RlpruneError:
        if config.task is not None:
            raise
        return None


def describe_blocks(network: Network, samples: Split | None) -> dict[str, Any]:
    """``blocks`` with the shares of MACs and params that each saves alone, and ``not_dropped`` with the reasons.

    ``change`` is that of :func:`rlprune.pruning.blocks.depth.block_errors`, None without samples.
    """
    blocks = find_blocks(network)
    changes = {} if samples is None else block_errors(network, blocks, samples)
    dense, one_gone = network.dense_widths, ~np.eye(len(blocks), dtype=bool)
    macs = 1 - macs_without(network, blocks, dense, one_gone) / max(float(network.macs(dense)[0]), 1.0)
    params = 1 - params_without(network, blocks, dense, one_gone) / network.params(dense)
    return {
        "blocks": [
            {"name": name, "macs_saved": float(of_macs), "params_saved": float(of_params), "change": changes.get(name)}
            for name, of_macs, of_params in zip(blocks.names, macs, params, strict=True)
        ],
        "not_dropped": [{"reason": why.text, "modules": list(why.layers)} for why in grouped(blocks.refused)],
    }


def block_cells(block: dict[str, Any]) -> list[str]:
    """A line of the table for people."""
    change = [] if block["change"] is None else [f"{block['change']:.1%}"]
    return [block["name"], f"{block['macs_saved']:.1%}", f"{block['params_saved']:.1%}", *change]
