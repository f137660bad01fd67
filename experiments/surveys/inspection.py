"""What can be pruned in a network and what cannot, told before anything is searched."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlprune.errors import ConfigError, TaskError
from rlprune.experiments.pipeline.loading import make_network
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.reasons import alike, grouped, listed
from rlprune.experiments.runs.free_folder import check_replaceable
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.commands import WIDTHS, command
from rlprune.experiments.settings.options import changed_words, words_of
from rlprune.experiments.settings.verb_configs import InspectConfig
from rlprune.experiments.surveys.inspection_of_blocks import (
    BLOCK_COLUMNS,
    block_cells,
    calibration_samples,
    describe_blocks,
)
from rlprune.networks.groups import Group
from rlprune.networks.network import Network
from rlprune.networks.record import Attribute
from rlprune.support.files import write_json
from rlprune.support.threads import torch_threads
from rlprune.tasks import load_task
from rlprune.zoo import LoadedNetwork, resolve_network

SCHEMA = "rlprune-inspection/1"
FAILS = "the pruned network fails"
COLUMNS = (
    *("layers that lose\nchannels together", "channels", "allowed widths", "read by"),
    *("MACs saved\nat smallest", "params saved\nat smallest"),
)


@dataclass(frozen=True)
class InspectAnswer:
    """What was found."""

    result: dict[str, Any]

    def as_dict(self) -> dict[str, object]:
        """The result as plain values."""
        return self.result

    def show(self) -> None:
        """Print costs, groups, what is left whole, and how to go on."""
        result = self.result
        dense, least = result["dense"], result["smallest"]
        print(
            f"{result['network']}: {_count(dense['macs'])} MACs, {_count(dense['params'])} parameters; "
            f"down to {_count(least['macs'])} and {_count(least['params'])} with every group at its smallest width"
        )
        cells = [_cells(group) for group in result["groups"]]
        print_table(counted(len(cells), "group"), COLUMNS, cells)
        if blocks := [block_cells(block) for block in result["blocks"]]:
            known = any(block["change"] is not None for block in result["blocks"])
            title = f"{counted(len(blocks), 'block')} that can be dropped"
            print_table(title, BLOCK_COLUMNS if known else BLOCK_COLUMNS[:-1], blocks)
        for title, lines in _sections(result):
            print(f"\n{title}:")
            for line in lines:
                print(f"- {line}")


def inspect_network(config: InspectConfig, progress: Progress | None = None) -> InspectAnswer:
    """Find the groups of a network; its task is loaded only where the network gives no example inputs.

    Raises:
        RlpruneError: a setting or an input is wrong, or ``out`` holds something that is no inspection.
    """
    progress = progress or Progress()
    config.check()
    if config.out is not None:
        check_replaceable(Path(config.out), "inspection", lambda found: found.get("schema") == SCHEMA, ConfigError)
    with torch_threads(config.threads):
        progress.note(f"Loading {config.network}")
        loaded = resolve_network(config.network)
        examples = _examples(loaded, config)
        progress.note("Following every operation, and checking each group")
        network = make_network(loaded.model, examples, config, config.multiple)
        progress.note("Running it without each block")
        blocks = describe_blocks(network, calibration_samples(config, loaded.task))
        result = {**_result(network, config, config.task or loaded.task), **blocks}
    if config.out is not None:
        write_json(config.out, result, ConfigError)
    return InspectAnswer(result)


def _examples(loaded: LoadedNetwork, config: InspectConfig) -> Any:
    shape = config.shape()
    if shape is not None:
        kind = next((p.dtype for p in loaded.model.parameters() if p.is_floating_point()), torch.float32)
        return (torch.randn(shape, generator=torch.Generator().manual_seed(config.seed), dtype=kind),)
    if loaded.example_inputs is not None:
        return loaded.example_inputs
    name = config.task or loaded.task
    if name is None:
        raise TaskError(
            f"Network {config.network!r} gives no example inputs. Give --input-shape 1,3,224,224, say, where it takes "
            "a single tensor of numbers; or return (model, example inputs) from the function; or name a --task that "
            "has samples."
        )
    return load_task(name, config.data_dir).calibration.take(1).tensors


def _result(network: Network, config: InspectConfig, task: str | None) -> dict[str, Any]:
    dense, smallest = network.dense_widths, np.array([group.widths[0] for group in network.groups])
    one_smallest = np.where(np.eye(len(dense), dtype=bool), smallest, dense)
    macs, params = float(network.macs(dense)[0]), float(network.params(dense)[0])
    saved = zip(1 - network.macs(one_smallest) / max(macs, 1.0), 1 - network.params(one_smallest) / params, strict=True)
    left_whole = grouped(network.left_whole)
    result = {
        "schema": SCHEMA,
        "network": config.network,
        "fingerprint": network.fingerprint,
        "dense": {"macs": macs, "params": params},
        "smallest": {"macs": float(network.macs(smallest)[0]), "params": float(network.params(smallest)[0])},
        "groups": [
            _group(network, group, float(of_macs), float(of_params))
            for group, (of_macs, of_params) in zip(network.groups, saved, strict=True)
        ],
        "outputs": list(network.output_names),
        "left_whole": [{"reason": reason.text, "layers": list(reason.layers)} for reason in left_whole],
        "renormalizes": sorted({name for group in network.groups for name in group.renormalizes}),
        "decides": list(network.decides),
        "guessed": [_attribute(attribute) for attribute in network.attributes if not attribute.certain],
    }
    return {**result, "hints": _hints(result, config, task)}


def _group(network: Network, group: Group, macs_saved: float, params_saved: float) -> dict[str, Any]:
    ends = (*group.producers, *group.consumers)
    unit = min(len(member.slots) for member in group.members if member.layer in ends)
    return {
        "name": group.name,
        "width": group.width,
        "unit": unit,
        "heads": unit > 1 and _are_heads(network, group),
        "widths": list(group.widths),
        "producers": list(group.producers),
        "consumers": list(group.consumers),
        "followers": list(group.followers),
        "renormalizes": list(group.renormalizes),
        "macs_saved": macs_saved,
        "params_saved": params_saved,
    }


def _are_heads(network: Network, group: Group) -> bool:
    """Whether each channel has its own queries times keys, and its own weights times values."""
    products = {layer.name for layer in network.layers if layer.kind == "product"}
    sides = [member.side for member in group.members if member.layer in products]
    return len(sides) > 1 and set(sides) == {"out"}


def _attribute(attribute: Attribute) -> dict[str, Any]:
    entry = "" if attribute.index is None else f"[{attribute.index}]"
    name = ".".join(filter(None, (attribute.module, attribute.name))) + entry
    return {"name": name, "value": attribute.value, "groups": list(attribute.slopes)}


def _hints(result: dict[str, Any], config: InspectConfig, task: str | None) -> list[str]:
    """What a user can do next, most particular first."""
    reasons = {item["reason"]: item["layers"] for item in result["left_whole"]}
    hints = []
    if len(result["outputs"]) > 1:
        hints.append(
            f"Every output keeps its channels ({listed(result['outputs'])}). Where only some matter, name them, and "
            f"the others become free: --outputs {shlex.quote(result['outputs'][0])}"
        )
    if any(FAILS in reason for reason in reasons):
        hints.append(
            "Where the pruned network fails, a number of channels stands in the code of forward: take it from the "
            "tensor's shape there (x.shape[1], -1), and the layer becomes free."
        )
    layer = result["groups"][0]["name"]
    ignore, only = (shlex.join(words_of(name, layer)) for name in ("ignore", "only"))
    some = shlex.join(words_of("rule", f"{layer}: multiple=16 minimum=0.5"))
    return [
        *hints,
        f"Choose: {ignore} leaves its group whole, {only} prunes no other; --minimum 0.25 for all groups, {some} for "
        "some.",
        f"Prune: {_train(config, task)}",
    ]


def _train(config: InspectConfig, task: str | None) -> str:
    """The command that prunes the network as it was inspected; or what is missing for one."""
    if task is None:
        return (
            "a training also needs data and a metric. Write a function that returns a task, which "
            "docs/own-network.md shows, and name it as --task MODULE:FUNCTION."
        )
    words = ["--network", config.network, *words_of("task", task), *changed_words(config, "data_dir", *WIDTHS)]
    return command("train", *words, "--budget", "macs=0.5")


def _sections(result: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Titles with their lines, where there are any."""
    guessed: dict[int, list[str]] = defaultdict(list)
    for attribute in result["guessed"]:
        guessed[attribute["value"]].append(attribute["name"])
    sections = {
        "Left whole": [f"{item['reason']}: {alike(item['layers'])}" for item in result["left_whole"]],
        "Keep the shape of their input, but cannot be dropped": [
            f"{item['reason']}: {alike(item['modules'])}" for item in result["not_dropped"]
        ],
        "Statistics over the channels that are left": [alike(result["renormalizes"])] if result["renormalizes"] else [],
        "Decide on values that they compute; only the way of the example inputs is checked, and ONNX may not hold it": (
            [alike(result["decides"])] if result["decides"] else []
        ),
        "Taken for widths because of their value, and checked": [f"{alike(n)} = {v}" for v, n in guessed.items()],
        "How to go on": result["hints"],
    }
    return [(title, lines) for title, lines in sections.items() if lines]


def _cells(group: dict[str, Any]) -> list[str]:
    unit = f" {'heads ' if group['heads'] else ''}x {group['unit']}" if group["unit"] > 1 else ""
    return [
        alike(group["producers"]),
        f"{group['width']}{unit}",
        compact(group["widths"]),
        counted(len(group["consumers"]), "layer"),
        f"{group['macs_saved']:.1%}",
        f"{group['params_saved']:.1%}",
    ]


def compact(widths: Sequence[int]) -> str:
    """Ascending widths in few characters: ``8..64 step 8``, where even but for the last ``8..24 step 8, 30``."""
    steps = np.diff(widths)
    if len(widths) > 3 and len(set(steps[:-1].tolist())) == 1:
        even = steps[-1] == steps[0]
        last = widths[-1 if even else -2]
        return f"{widths[0]}..{last} step {steps[0]}" + ("" if even else f", {widths[-1]}")
    return ", ".join(map(str, widths))


def counted(number: int, what: str) -> str:
    """``1 group``, ``2 groups``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _count(number: float) -> str:
    """``3.03 M``; below a million, thousands."""
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number / 1e3:.1f} k"
