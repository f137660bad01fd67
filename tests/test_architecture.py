"""The floors and rooms hold: imports only go down, in no circle, and each outside library stays behind its one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest

import rlprune
from tests.imports import BARE, ROOT, import_graph, imports, is_within, module_name, sources

FLOORS = {"rlprune": 1, "rlprune.envs": 2, "rlprune.agents": 3, "rlprune.experiments": 4}
# Library -> the lowest floor that may import it.
LOWEST_FLOOR = {"gymnasium": 2, "stable_baselines3": 2, "yaml": 4}
# Library -> the only files that may import it.
DOORS = {
    "transformers": {"rlprune/zoo/huggingface.py", "rlprune/zoo/huggingface_inputs.py"},
    "torchvision": {"rlprune/zoo/torchvision.py"},
    "timm": {"rlprune/zoo/timm.py"},
    "onnxruntime": {"rlprune/delivery/onnx/session.py", "rlprune/delivery/onnx/int8.py"},
    "openvino": {"rlprune/devices/runtimes/openvino_cpu.py"},
    "ray": {"experiments/sweeping/on_ray.py"},
}
# Room -> the rooms of its own floor that it may import, besides what stands at the core's root. From the ground up.
GROUND = ("errors", "arrays")
ROOMS = {
    "support": set(),
    "networks": {"support"},
    "tasks": {"support", "networks"},
    "pruning": {"networks", "tasks"},
    "delivery": {"support", "networks", "tasks", "pruning"},
    "choices": {"support", "networks", "pruning"},
    "plans": {"support", "networks", "tasks", "pruning", "delivery", "choices"},
    "zoo": {"support", "tasks"},
    "devices": {"support", "networks", "pruning", "delivery", "choices", "zoo"},
    "costs": {"networks", "pruning", "delivery", "choices", "devices"},
    "budgets": {"choices", "costs"},
    "evaluation": {"support", "networks", "tasks", "pruning", "delivery", "choices", "plans", "costs", "budgets"},
    "finetuning": {"networks", "tasks", "pruning"},
    "experiments/settings": set(),
    "experiments/runs": {"experiments/settings"},
    "experiments/presenting": set(),
    "experiments/fronting": {"experiments/settings", "experiments/runs", "experiments/presenting"},
    "experiments/reports": {
        "experiments/settings",
        "experiments/runs",
        "experiments/presenting",
        "experiments/fronting",
    },
    "experiments/tensorboard": {
        "experiments/settings",
        "experiments/runs",
        "experiments/presenting",
        "experiments/fronting",
        "experiments/reports",
    },
    "experiments/pipeline": {
        "experiments/settings",
        "experiments/runs",
        "experiments/reports",
        "experiments/tensorboard",
    },
    "experiments/validating": {"experiments/settings", "experiments/runs", "experiments/pipeline"},
    "experiments/surveys": {"experiments/settings", "experiments/runs", "experiments/reports", "experiments/pipeline"},
    "experiments/comparing": {
        "experiments/settings",
        "experiments/runs",
        "experiments/presenting",
        "experiments/tensorboard",
    },
    "experiments/sweeping": {
        "experiments/settings",
        "experiments/runs",
        "experiments/pipeline",
        "experiments/surveys",
        "experiments/comparing",
    },
    "experiments/cli": {"experiments/settings", "experiments/runs", "experiments/reports", "experiments/pipeline"},
    "experiments/benchmarks": {
        "experiments/settings",
        "experiments/runs",
        "experiments/presenting",
        "experiments/reports",
        "experiments/pipeline",
        "experiments/validating",
        "experiments/comparing",
    },
}


def floor_of(module: str) -> int:
    """Number of the floor a dotted module name of ours stands on; 0 for anything else."""
    return max((floor for package, floor in FLOORS.items() if is_within(module, package)), default=0)


def room_of(module: str) -> str | None:
    """The room that a dotted module name of ours stands in; None on floors of one room and for anything else."""
    parts = module.split(".")
    depth = {1: 2, 4: 3}.get(floor_of(module), len(parts) + 1)
    return "/".join(parts[1:depth]) if len(parts) >= depth else None


def room_faults(module: str, name: str) -> Iterator[str]:
    room, other = room_of(module), room_of(name)
    if room is None or other in (None, room, *GROUND) or floor_of(module) != floor_of(name):
        return
    if other not in (set() if room in GROUND else ROOMS.get(room, set())):
        yield f"room {room} imports {name} of room {other}"


def import_faults(module: str, place: str, name: str) -> Iterator[str]:
    floor = floor_of(module)
    if floor_of(name) > floor:
        yield f"floor {floor} imports {name} of floor {floor_of(name)}"
    for library, lowest in LOWEST_FLOOR.items():
        if is_within(name, library) and floor < lowest:
            yield f"{library} may not be imported below floor {lowest}"
    for library, files in DOORS.items():
        if is_within(name, library) and place not in files:
            yield f"{library} may be imported by {', '.join(sorted(files))} only"
    for package in BARE:
        if is_within(name, package):
            yield f"import rlprune.{package}, not {package}"
    yield from room_faults(module, name)


def faults(path: Path, root: Path) -> set[str]:
    """Every import of one file that breaks a rule, as ``file:line: what``."""
    place = path.relative_to(root).as_posix()
    return {
        f"{place}:{line}: {fault}"
        for line, _, name in imports(ast.parse(path.read_text(encoding="utf-8")), path, root)
        for fault in import_faults(module_name(path, root), place, name)
    }


def child_of(folder: str, module: str) -> str | None:
    """The file or subfolder of a folder that a module stands in; the folder's own ``__init__`` is one of its files."""
    if module == folder:
        return "__init__"
    return module.removeprefix(f"{folder}.").partition(".")[0] if is_within(module, folder) else None


def circles(root: Path) -> Iterator[str]:
    """Files and subfolders of one folder that import each other in a circle; no circle of files is without one."""
    graph = import_graph(root)
    parts = [module_name(path, root).split(".") for path in sources(root)]
    folders = {".".join(each[:depth]) for each in parts for depth in range(1, len(each))}
    for folder in sorted(folders):
        between: dict[tuple[str, str], str] = {}
        for (module, target), place in graph.items():
            ends = child_of(folder, module), child_of(folder, target)
            if ends[0] is not None and ends[1] is not None and ends[0] != ends[1]:
                between.setdefault((ends[0], ends[1]), place)
        for circle in networkx.strongly_connected_components(networkx.DiGraph(between.keys())):
            if len(circle) > 1:
                steps = [
                    f"{here} imports {there} at {place}"
                    for (here, there), place in sorted(between.items())
                    if {here, there} <= circle
                ]
                yield f"{folder} has a circle of {', '.join(sorted(circle))}: {'; '.join(steps)}"


def all_faults(root: Path) -> list[str]:
    return sorted([*(fault for path in sources(root) for fault in faults(path, root)), *circles(root)])


def test_the_floors_and_rooms_hold() -> None:
    assert len(list(sources(ROOT))) > 10
    assert not all_faults(ROOT), "\n".join(all_faults(ROOT))


def test_rooms_may_import_what_they_do_and_no_more() -> None:
    used: dict[str, set[str]] = {room: set() for path in sources(ROOT) if (room := room_of(module_name(path, ROOT)))}
    for module, target in import_graph(ROOT):
        on_one_floor = floor_of(module) == floor_of(target)
        if on_one_floor and (room := room_of(module)) and (other := room_of(target)) not in (None, room, *GROUND):
            used[room].add(other)
    assert {room: others for room, others in used.items() if room not in GROUND} == ROOMS


def test_tests_import_no_bare_folder() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line, _, name in imports(ast.parse(path.read_text(encoding="utf-8")), path, ROOT)
        if name.partition(".")[0] in BARE
    ]
    assert not found


PLANTED = [
    ("rlprune/costs/macs.py", "import rlprune.envs.observations", "floor 1 imports rlprune.envs.observations"),
    (
        "rlprune/plans/plan.py",
        "def late():\n    from rlprune import agents",
        "plan.py:2: floor 1 imports rlprune.agents",
    ),
    ("rlprune/costs/macs.py", "from ..envs import actions", "floor 1 imports rlprune.envs.actions"),
    ("rlprune/__init__.py", "from . import experiments", "floor 1 imports rlprune.experiments"),
    ("rlprune/plans/plan.py", "importlib.import_module('rlprune.agents')", "floor 1 imports rlprune.agents"),
    (
        "envs/actions.py",
        "from rlprune.experiments.settings.problem import NetworkConfig",
        "floor 2 imports rlprune.experiments",
    ),
    ("agents/baselines/uniform.py", "from rlprune.experiments import cli", "floor 3 imports rlprune.experiments"),
    (
        "rlprune/plans/plan.py",
        "def late():\n    import gymnasium as gym",
        "gymnasium may not be imported below floor 2",
    ),
    (
        "rlprune/plans/plan.py",
        "from stable_baselines3 import DDPG",
        "stable_baselines3 may not be imported below floor 2",
    ),
    ("agents/ddpg.py", "import yaml", "yaml may not be imported below floor 4"),
    ("rlprune/networks/network.py", "import timm", "timm may be imported by rlprune/zoo/timm.py only"),
    (
        "rlprune/plans/plan.py",
        "from openvino import Core",
        "openvino may be imported by rlprune/devices/runtimes/openvino",
    ),
    ("agents/ddpg.py", "from envs import actions", "import rlprune.envs, not envs"),
    ("rlprune/networks/groups.py", "from rlprune.pruning import axes", "room networks imports rlprune.pruning.axes"),
    (
        "experiments/runs/result.py",
        "from rlprune.experiments.reports import report",
        "room experiments/runs imports rlprune.experiments.reports.report",
    ),
    ("rlprune/arrays.py", "from rlprune.support import files", "room arrays imports rlprune.support.files"),
    (
        "rlprune/choices/space.py",
        "if TYPE_CHECKING:\n    from ..plans.plan import PruningPlan",
        "space.py:2: room choices imports rlprune.plans.plan.PruningPlan of room plans",
    ),
]


@pytest.mark.parametrize(("place", "code", "message"), PLANTED)
def test_a_planted_violation_is_found(tmp_path: Path, place: str, code: str, message: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    assert any(message in fault for fault in all_faults(tmp_path)), all_faults(tmp_path)


CIRCLES = [
    ({"a.py": "from rlprune.tasks import b", "b.py": "from rlprune.tasks.a import x"}, "a, b"),
    (
        {
            "a.py": "from rlprune.tasks import b",
            "b.py": "if TYPE_CHECKING:\n    from rlprune.tasks.c import x",
            "c.py": "def late():\n    from .a import y",
        },
        "a, b, c",
    ),
    (
        {
            "low/a.py": "",
            "low/b.py": "from rlprune.tasks.high.c import x",
            "high/c.py": "",
            "high/d.py": "from rlprune.tasks.low.a import x",
        },
        "high, low",
    ),
    ({"__init__.py": "from . import a", "a.py": "from rlprune.tasks import x"}, "__init__, a"),
]


@pytest.mark.parametrize(("files", "circle"), CIRCLES)
def test_a_planted_circle_is_found(tmp_path: Path, files: dict[str, str], circle: str) -> None:
    for place, code in files.items():
        path = tmp_path / "rlprune" / "tasks" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    (fault,) = all_faults(tmp_path)
    assert f"rlprune.tasks has a circle of {circle}: " in fault


ALLOWED = [
    ("rlprune/zoo/timm.py", "import timm"),
    (
        "rlprune/plans/plan.py",
        "from ..errors import PlanError\nfrom rlprune.networks.network import Network",
    ),
    ("envs/pruning.py", "import gymnasium as gym\nfrom . import actions\nfrom rlprune.budgets import budget"),
    ("experiments/settings/problem.py", "import yaml\nfrom rlprune.agents import policy"),
]


@pytest.mark.parametrize(("place", "code"), ALLOWED)
def test_what_the_rules_allow_is_no_fault(tmp_path: Path, place: str, code: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    assert not all_faults(tmp_path)


def loaded_after(code: str) -> tuple[str, set[str]]:
    """What a new interpreter prints while it runs ``code``, and the top-level modules it then holds."""
    script = f"{code}\nimport sys\nsys.stderr.write('|' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    noise, _, modules = done.stderr.rpartition("|")
    return done.stdout + noise, {name.partition(".")[0] for name in modules.split()}


def test_importing_rlprune_is_silent_and_loads_nothing_heavy() -> None:
    printed, loaded = loaded_after("import rlprune")
    assert printed == ""
    assert "rlprune" in loaded
    assert not loaded & {"torch", "gymnasium", "stable_baselines3", "pynvml", "transformers", "onnxruntime"}


def test_the_whole_core_loads_without_gymnasium_and_stable_baselines3() -> None:
    core = [module_name(path, ROOT) for path in sources(ROOT)]
    code = "\n".join(f"import {name}" for name in core if floor_of(name) == 1 and not name.endswith("__main__"))
    _, loaded = loaded_after(code)
    assert "torch" in loaded
    assert not loaded & {"gymnasium", "stable_baselines3"}


def test_every_public_name_can_be_used() -> None:
    assert set(rlprune.__all__) <= set(dir(rlprune))
    for name in rlprune.__all__:
        assert getattr(rlprune, name) is not None
    misspelt = "Netwrok"
    with pytest.raises(AttributeError, match=f"has no attribute '{misspelt}'"):
        getattr(rlprune, misspelt)
