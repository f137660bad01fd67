"""Measuring a device profile as a job of its own."""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.budgets.limits import format_cost
from rlprune.choices.space import Space
from rlprune.costs import LatencyCost
from rlprune.devices import Device, DeviceProfile, resolve_device
from rlprune.devices.grid import LayerProfile, build_layer_profile
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiling.mixed_profiler import add_mixes, decides_mixes, is_unfinished
from rlprune.devices.profiling.profiler import build_profile, extend_profile
from rlprune.errors import ProfileError
from rlprune.experiments.pipeline.device_profile import describe, told_meter
from rlprune.experiments.pipeline.loading import Material, load_material
from rlprune.experiments.pipeline.profile_plans import profile_plans
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.provenance import energy_note
from rlprune.experiments.reports.profile_pictures import draw_profile
from rlprune.experiments.runs.free_folder import check_replaceable
from rlprune.experiments.runs.tables import print_facts
from rlprune.experiments.settings.commands import DATA, DECISIONS, WIDTHS, command
from rlprune.experiments.settings.options import changed_words, words_of
from rlprune.experiments.settings.verb_configs import ProfileConfig
from rlprune.experiments.surveys.inspection import compact
from rlprune.networks.network import Network
from rlprune.support.threads import torch_threads


@dataclass(frozen=True)
class ProfileAnswer:
    """A finished profile.

    Attributes:
        path, pictures: where it and its pictures lie.
        network: as it was asked for.
        paying: which widths pay, in words.
        smallest: latency of the smallest network, as a share of the dense one's.
        use: how a training takes it.
    """

    profile: DeviceProfile
    path: str
    network: str
    pictures: tuple[Path, ...]
    paying: str
    smallest: float
    use: str

    def as_dict(self) -> dict[str, object]:
        """What the profile states about itself."""
        profile = self.profile
        return {
            "profile": self.path,
            "network": self.network,
            "device": profile.device,
            "runtime": asdict(profile.runtime),
            "dense_latency_ms": profile.dense_latency_ms,
            "images_per_second": profile.runtime.batch * 1e3 / profile.dense_latency_ms,
            "fitted_plans": profile.fitted,
            "samples": profile.samples,
            "error": asdict(profile.held_out),
            "spread": profile.spread,
            "settled": profile.settled,
            "tails": {name: asdict(tail) for name, tail in profile.tails.items()},
            "energy": asdict(profile.energy),
            "warnings": profile.warnings(),
            "smallest": self.smallest,
            "widths": {name: list(widths) for name, widths in profile.widths.items()},
            "pictures": [str(path) for path in self.pictures],
        }

    def show(self) -> None:
        """Print device, error, the widths that pay, and what to be careful about."""
        profile = self.profile
        print_facts(f"Profile of {self.network}", profile_facts(profile))
        print(f"Widths that pay: {self.paying}")
        print(f"Smallest network: {self.smallest:.1%} of the dense one's latency; no budget below that can be met.")
        for warning in profile.warnings():
            print(f"- {warning}")
        for path in self.pictures:
            print(f"Picture: {path}")
        print(f"Use it: {self.use}")


@dataclass(frozen=True)
class LayerProfileAnswer:
    """A finished profile of layer kinds."""

    profile: LayerProfile
    path: str

    def as_dict(self) -> dict[str, object]:
        """What the profile states about itself."""
        profile = self.profile
        return {
            "profile": self.path,
            "device": profile.device,
            "runtime": asdict(profile.runtime),
            "layer_error": asdict(profile.layer_error),
            "network_error": asdict(profile.network_error),
        }

    def show(self) -> None:
        """Print device and errors."""
        profile = self.profile
        facts = {
            "device": profile.device,
            "runtime": str(profile.runtime),
            "error, chains of one kind of layer": f"{profile.layer_error} on {profile.layer_error.plans}",
            "error, whole networks": f"{profile.network_error} on {profile.network_error.plans} plans never measured",
        }
        print_facts("Profile of layer kinds", facts)
        words = ("--network", "digits-resnet", *words_of("device", self.path), "--budget", "latency=0.5")
        print(f"Use it, with any network: {command('train', *words)}")


def profile_facts(profile: DeviceProfile) -> dict[str, str]:
    """The profile and its errors, for people."""
    batch, speed = profile.runtime.batch, profile.runtime.batch * 1e3 / profile.dense_latency_ms
    call = "" if batch == 1 else f" for a call of {batch} samples"
    facts = {
        "device": f"{profile.device}, {profile.os}",
        "runtime": f"{profile.runtime}, {profile.runtime.warmup} run(s) to warm up",
        "dense network": f"{format_cost('latency', profile.dense_latency_ms)}{call}, {speed:.0f} samples/s",
        "estimator": f"{profile.estimator}, {profile.samples} timings a plan, {len(profile.measured)} plans",
        "fit": f"costs of layers and steps of groups, on {profile.fitted} plans",
        "error": f"{profile.held_out} on {profile.held_out.plans} unseen plans",
        "repeatability": f"two halves of the measurement agree to {profile.spread:.1%} (19 of 20 plans)",
        "energy": energy_note(profile.energy).removeprefix("Energy: "),
    }
    if profile.readings:
        energy = profile.energy
        terms = f"{energy.base_mj:.3g} mJ + {energy.watts:.3g} W x latency + {energy.mj_per_mmac:.3g} mJ a million MACs"
        facts["energy, fitted"] = f"{terms}; error {energy.error} on {energy.error.plans} plans"
    if profile.mixed is not None:
        mixed = profile.mixed
        facts["dropped blocks, int8"] = f"error {mixed.held_out} on {mixed.held_out.plans} unseen plans"
        if mixed.int8_ratio is not None:
            facts["int8"] = f"the dense network takes {mixed.int8_ratio:.2f} times as long as in float"
    for name, tail in profile.tails.items():
        line = f"{format_cost('latency', tail.offset_ms)} + {tail.factor:.2f} x latency; error {tail.error}"
        facts[f"latency, {name}"] = line if tail.holds else tail.refusal
    return facts


def measure_profile(config: ProfileConfig, progress: Progress | None = None) -> ProfileAnswer | LayerProfileAnswer:
    """Measure, going on from an interrupted measurement with the same settings.

    Raises:
        RlpruneError: a setting or an input is wrong, or ``out`` holds something that is no profile.
    """
    progress = progress or Progress()
    config.check()
    check_replaceable(Path(config.out), "device profile", lambda found: "runtime" in found, ProfileError)
    device = resolve_device(config.device, threads=config.threads, batch=config.batch, precision=config.precision)
    if device.runtime is None or device.source is not None:
        raise ProfileError(f"--device must be measured here; {config.device!r} is a profile already. Name a device.")
    with torch_threads(config.threads):
        if config.any_network:
            return _measure_layers(config, device, progress)
        progress.note(f"Loading {config.network}")
        material = load_material(config, config.multiple)
        network = material.network
        known = DeviceProfile.load(config.out) if Path(config.out).exists() else None
        if known is not None:
            known.check(network)
        effort, mixed = config.effort(), decides_mixes(material.space)
        if mixed and known is not None and is_unfinished(known, device.runtime, effort, config.out):
            profile = known
        else:
            profile = _measure_network(config, network, device, known, progress)
        if mixed:
            profile = add_mixes(profile, material.space, device.runtime, effort, path=config.out, progress=True)
    progress.note(describe(profile))
    folder = Path(config.out).with_name(f"{Path(config.out).stem}-pictures")
    series = profile_plans(profile, network, config.network)
    pictures = () if config.no_pictures else tuple(draw_profile(series, folder))
    smallest = _smallest(profile, material.space)
    paying, use = paying_words(profile.widths, network), _use(config, material, smallest)
    return ProfileAnswer(profile, config.out, config.network, pictures, paying, smallest, use)


def paying_words(widths: Mapping[str, Sequence[int]], network: Network) -> str:
    """Which widths pay: those of equal groups together, in steps where they are even."""
    every = {group.name: group.widths for group in network.groups}
    alike: dict[str, list[str]] = defaultdict(list)
    for name, paying in widths.items():
        alike["every allowed one" if tuple(paying) == every[name] else compact(paying)].append(name)
    if len(alike) == 1:
        return f"{next(iter(alike))} of {'every group' if len(widths) > 1 else next(iter(widths))}."
    return "; ".join(f"{', '.join(names)}: {words}" for words, names in alike.items()) + "."


def _smallest(profile: DeviceProfile, asked: Space) -> float:
    """Latency where everything is at its lowest, as a share of the dense network's."""
    space = profile.restrict(asked)
    ends = np.array([[choice.levels[0] for choice in space.choices], [choice.full for choice in space.choices]])
    lowest, dense = LatencyCost(space, profile)(ends)
    return float(lowest / dense)


def _use(config: ProfileConfig, material: Material, smallest: float) -> str:
    """The command that trains with the profile, at a budget that can be met; or what one lacks for it."""
    if material.known_task is None:
        return f"with {shlex.join(words_of('device', config.out))}. A training also needs a task: name one with --task."
    budget = 0.5 if smallest < 0.4 else math.ceil(50 * (1 + smallest)) / 100
    settings = changed_words(config, *DATA, *WIDTHS, *DECISIONS, "threads")
    words = ["--network", config.network, *settings, *words_of("device", config.out), "--budget", f"latency={budget:g}"]
    return command("train", *words)


def _measure_network(
    config: ProfileConfig, network: Network, device: Device, known: DeviceProfile | None, progress: Progress
) -> DeviceProfile:
    assert device.runtime is not None  # checked before
    settings: dict[str, Any] = {"path": config.out, "progress": True}
    if config.extend:
        if known is None:
            raise ProfileError(f"--extend needs the profile in --out; there is no {config.out}. Measure one first.")
        return extend_profile(known, network, device.runtime, config.effort(), **settings)
    meter = told_meter(device, config.watts, progress)
    return build_profile(network, device.runtime, meter, config.effort(), **settings)


def _measure_layers(config: ProfileConfig, device: Device, progress: Progress) -> LayerProfileAnswer:
    assert device.runtime is not None  # checked before
    progress.note(f"Measuring kinds of layers on {device.runtime.device_name()}, {device.runtime.identity}")
    profile = build_layer_profile(
        device.runtime,
        None if config.watts is None else PowerModel(config.watts),
        samples=config.samples,
        seed=config.seed,
        path=config.out,
        progress=True,
        limit_s=config.limit_s,
    )
    return LayerProfileAnswer(profile, config.out)
