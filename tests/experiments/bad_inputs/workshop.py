"""A folder with files that are wrong in one way each, beside a good profile and a good run."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

HEAVY = ("pictures", "tensorboard", "pruned.*", "__pycache__")
SETTINGS = {
    "unknown.yaml": "episods: 3\n",
    "wrong.yaml": "episodes: [3]\n",
    "negative.yaml": "seed: -1\n",
    "code.yaml": "network: !!python/object/apply:os.mkdir [hacked]\n",
    "aliases.yaml": "budget: &many [macs=0.5]\nignore: *many\n",
    "broken.yaml": "episodes: [3\n",
    "list.yaml": "- episodes\n",
}
Values = dict[str, Any]
Change = Callable[[Path], object]


def furnish(place: Path, made: Path) -> None:
    """Fill ``place``; ``made`` holds ``tiny_networks.py``, ``profile.json`` and a complete ``run``."""
    for name in ("tiny_networks.py", "profile.json"):
        shutil.copy(made / name, place)
    (place / "broken_module.py").write_text("def network(:\n")
    shutil.copytree(made / "run", place / "run", ignore=shutil.ignore_patterns(*HEAVY))
    for name, text in SETTINGS.items():
        (place / name).write_text(text)
    _folders(place)
    _data(place)
    _profiles(place)
    _plans(place)
    for name, change in RUNS.items():
        shutil.copytree(place / "run", place / name)
        change(place / name)


def _folders(place: Path) -> None:
    (place / "empty").mkdir()
    (place / "file").write_text("not a folder")
    (place / "full").mkdir()
    (place / "full" / "notes.txt").write_text("mine")
    (place / "photos").mkdir()
    (place / "photos" / "cat.jpg").write_bytes(b"\xff\xd8\xff\xe0")


def _data(place: Path) -> None:
    _idx_files(place / "cut-idx", images=_idx(np.zeros((9, 28, 28)))[:-1])
    _idx_files(place / "other-idx", images=b"\x00\x00\x0d\x03" + bytes(12))
    _idx_files(place / "large-idx", images=bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**31, 2**31, 2**31))
    _idx_files(place / "fewer-labels", images=_idx(np.zeros((9, 28, 28))), labels=_idx(np.zeros(8)))
    (place / "cut-cifar").mkdir()
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        (place / "cut-cifar" / name).write_bytes(bytes(1000))


def _idx_files(folder: Path, images: bytes, labels: bytes = b"") -> None:
    folder.mkdir()
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def _idx(values: np.ndarray[Any, Any]) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def _profiles(place: Path) -> None:
    good = place / "profile.json"
    _cut(good, place / "truncated.json")
    _edited(good, place / "edited.json", dense_latency_ms=0.001)
    _edited(good, place / "schema.json", schema="rlprune-profile/1")
    _edited(good, place / "newer.json", schema="rlprune-device-profile/99")


def _plans(place: Path) -> None:
    good = place / "run" / "plan.json"
    decisions = json.loads(good.read_text())["decisions"]
    first, *others = decisions
    ratios = {"0": 0, "2": 2, "negative": -0.5, "nan": float("nan"), "true": True, "text": "half"}
    for name, ratio in ratios.items():
        _edited(good, place / f"plan-{name}.json", decisions={**decisions, first: {"keep_ratio": ratio}})
    wrong: dict[str, dict[str, Any]] = {
        "dense": {"density": 1.5},
        "fine": {"density": 0.355},
        "bits": {"bits": 5},
        "int8": {"activations": 8},
        "both": {"drop": True, "density": 0.5},
        "sparsity": {"sparsity": 0.5},
    }
    for name, decision in wrong.items():
        _edited(good, place / f"plan-{name}.json", decisions={**decisions, "9": decision})
    _edited(good, place / "plan-layer.json", decisions={**decisions, "hed": {"bits": 8}})
    _edited(good, place / "plan-rule.json", rules={"pattern": "4:2"})
    _edited(good, place / "plan-empty.json", decisions={**decisions, first: {}})
    renamed = {"head": decisions[first], **{name: decisions[name] for name in others}}
    _edited(good, place / "plan-other-group.json", decisions=renamed)
    _edited(good, place / "plan-note.json", notes={"ignore": "head"})
    _edited(good, place / "plan-batchnorm.json", notes={"batchnorm": "own"})
    _cut(good, place / "cut-plan.json")
    (place / "array.json").write_text("[]")


def _cut(path: Path, to: Path) -> None:
    content = path.read_bytes()
    to.write_bytes(content[: len(content) // 2])


def _edited(path: Path, to: Path, **changes: Any) -> None:
    to.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _without(*names: str) -> Change:
    return lambda run: [(run / name).unlink() for name in names]


def _status(**changes: str) -> Change:
    return lambda run: _edited(run / "status.json", run / "status.json", **changes)


def _halved(name: str) -> Change:
    return lambda run: _cut(run / name, run / name)


def _changed(name: str, **changes: Any) -> Change:
    return lambda run: _edited(run / name, run / name, **changes)


def _text(name: str, text: str) -> Change:
    return lambda run: (run / name).write_text(text)


def _settings(old: str, new: str) -> Change:
    def change(run: Path) -> None:
        text = (run / "config.yaml").read_text()
        assert old in text
        (run / "config.yaml").write_text(text.replace(old, new))

    return change


def _odd_journal(run: Path) -> None:
    _status(status="interrupted")(run)
    (run / "evaluations.jsonl").write_text("dear diary\n")


def _poor_result(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({name: result[name] for name in ("schema", "rows")}))


def _odd_episodes(run: Path) -> None:
    path = run / "episodes-ddpg.csv"
    header, first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, ",".join(["many", *first.split(",")[1:]]), *rest]) + "\n")


def _without_policy(run: Path) -> None:
    _settings("agent: ddpg", "agent: random")(run)
    _without("policy.json", "policy.safetensors")(run)


def _linked(run: Path) -> None:
    (run / "plan.json").unlink()
    (run / "plan.json").symlink_to("/etc/hostname")


def _weights(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    def changed(run: Path) -> None:
        save_file(change(load_file(run / "policy.safetensors")), run / "policy.safetensors")

    return changed


RUNS: dict[str, Change] = {
    "interrupted": _status(status="interrupted"),
    "running": _status(status="running"),
    "in-use": _status(status="running", pid="4711", host="elsewhere", time="2026-01-01T00:00:00+00:00"),
    "foreign": _status(schema="rlprune-run/9"),
    "odd-status": _status(status="fine"),
    "cut-status": _halved("status.json"),
    "without-result": _without("result.json"),
    "cut-result": _halved("result.json"),
    "poor-result": _poor_result,
    "other-network": _changed("result.json", fingerprint="0" * 64),
    "other-result": _changed("result.json", schema="rlprune-result/99"),
    "other-details": _changed("result.json", details={"lower_is_better": [], "networks": {}}),
    "without-versions": _without("versions.json"),
    "without-episodes": _without("episodes-ddpg.csv"),
    "odd-episodes": _odd_episodes,
    "linked": _linked,
    "code-config": _text("config.yaml", SETTINGS["code.yaml"]),
    "odd-config": _settings("episodes:", "episods:"),
    "lost-network": _settings("tiny_networks:network", "lost_networks:network"),
    "odd-journal": _odd_journal,
    "without-policy": _without_policy,
    "old-policy": _changed("policy.json", observation_version=0),
    "other-actions": _changed("policy.json", actions=["sparsity"]),
    "other-sizes": _changed("policy.json", sizes=[3, 2]),
    "cut-weights": _halved("policy.safetensors"),
    "other-weights": _weights(lambda weights: {name: value[:1] for name, value in weights.items()}),
    "nan-weights": _weights(lambda weights: {name: value * np.float32("nan") for name, value in weights.items()}),
}
