"""Measuring a device profile as a job of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from rlprune.devices import DeviceProfile, resolve_device
from rlprune.devices.meters import choose_meter
from rlprune.devices.profiler import build_profile
from rlprune.errors import ProfileError
from rlprune.experiments.config import ProfileConfig
from rlprune.experiments.device import describe
from rlprune.experiments.progress import Progress
from rlprune.experiments.setup import load_material, torch_threads
from rlprune.files import read_json


@dataclass(frozen=True)
class ProfileAnswer:
    """A finished profile and where it lies."""

    profile: DeviceProfile
    path: str
    network: str

    def as_dict(self) -> dict[str, object]:
        """What the profile states about itself."""
        profile = self.profile
        return {
            "profile": self.path,
            "network": self.network,
            "device": profile.device,
            "runtime": asdict(profile.runtime),
            "dense_latency_ms": profile.dense_latency_ms,
            "error": asdict(profile.held_out),
            "spread": profile.spread,
            "power": asdict(profile.power),
            "widths": {name: list(widths) for name, widths in profile.widths.items()},
        }

    def show(self) -> None:
        """Print device, error and the widths that pay."""
        from rich.console import Console
        from rich.table import Table

        profile = self.profile
        table = Table(title=f"Profile of {self.network}", title_justify="left", show_header=False)
        for name, value in _facts(profile).items():
            table.add_row(name, value)
        console = Console(highlight=False, width=120)
        console.print(table)
        console.print("Widths that pay: " + "; ".join(f"{name} {list(w)}" for name, w in profile.widths.items()))
        print(f"Use it: rlprune train --network {self.network} --device {self.path} --budget latency=0.5")


def _facts(profile: DeviceProfile) -> dict[str, str]:
    error, runtime = profile.held_out, profile.runtime
    threads = f"{runtime.threads} thread(s), batch {runtime.batch}"
    speed = runtime.batch * 1e3 / profile.dense_latency_ms
    errors = f"median {error.median:.1%}, p90 {error.p90:.1%}, worst {error.worst:.1%}"
    return {
        "device": profile.device,
        "runtime": f"{runtime.name} {runtime.version}, {runtime.provider}, {threads}",
        "dense network": f"{profile.dense_latency_ms:.3f} ms, {speed:.0f} images/s",
        "estimator": f"{profile.estimator}, {profile.samples} samples a plan, {len(profile.measured)} plans",
        "error": f"{errors} on {error.plans} unseen plans",
        "repeatability": f"two halves of the measurement differ by {profile.spread:.1%} (median)",
        "energy": f"E = P x T with {profile.power.watts:g} W: {profile.power.source}",
    }


def measure_profile(config: ProfileConfig, progress: Progress | None = None) -> ProfileAnswer:
    """Measure, going on from an interrupted measurement with the same settings.

    Raises:
        RlpruneError: a setting or an input is wrong, or ``out`` holds something that is no profile.
    """
    progress = progress or Progress()
    config.check()
    _check_out(Path(config.out))
    device = resolve_device(config.device, threads=config.threads, batch=config.batch)
    meter, absent = choose_meter(device.kind, config.watts)
    if device.runtime is None or device.profile is not None:
        raise ProfileError(f"--device must be cpu or cuda here; {config.device!r} is a profile already.")
    with torch_threads(config.threads):
        progress.note(f"Loading {config.network}")
        network = load_material(config, config.multiple).network
        if Path(config.out).exists():
            DeviceProfile.load(config.out).check(network)
        for line in absent:
            progress.note(f"No meter: {line}. Energy rests on the {meter.source}.")
        profile = build_profile(
            network,
            device.runtime,
            meter,
            plans=config.plans,
            checks=config.checks,
            samples=config.samples,
            seed=config.seed,
            path=config.out,
            progress=True,
        )
    progress.note(describe(profile))
    return ProfileAnswer(profile, config.out, config.network)


def _check_out(path: Path) -> None:
    """A profile of the same network may be measured anew; any other file is left alone."""
    if path.is_dir():
        raise ProfileError(f"--out must be a file; {path} is a folder. Choose {path / 'profile.json'}, say.")
    if path.exists() and "runtime" not in read_json(path, ProfileError):
        raise ProfileError(f"{path} exists and is no device profile. Choose another file with --out.")
