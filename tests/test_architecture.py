"""The floors hold: imports only go down, and each outside library stays behind its one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import rlprune

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"rlprune": 1, "rlprune.envs": 2, "rlprune.agents": 3, "rlprune.experiments": 4}
BARE = ("envs", "agents", "experiments")
# Library -> the lowest floor that may import it.
LOWEST_FLOOR = {"gymnasium": 2, "stable_baselines3": 2, "yaml": 4}
# Library -> the only files that may import it.
DOORS = {
    "transformers": {"rlprune/zoo/huggingface.py", "rlprune/zoo/huggingface_inputs.py"},
    "torchvision": {"rlprune/zoo/torchvision.py"},
    "timm": {"rlprune/zoo/timm.py"},
    "onnxruntime": {"rlprune/delivery/onnx/export.py", "rlprune/delivery/onnx/int8.py"},
    "openvino": {"rlprune/devices/runtimes/openvino_cpu.py"},
    "ray": {"experiments/sweeping/on_ray.py"},
}
# Names that run code found in data.
UNSAFE = {
    *("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"),
    *("eval", "exec", "torch.load", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.CLoader", "torch.jit.load", "torch.hub", "runpy"),
    *("os.system", "os.popen", "joblib.load", "numpy.load", "numpy.fromfile", "builtins.eval", "builtins.exec"),
}
# Keywords of calls that let a file or a shell decide what is run.
UNSAFE_KEYWORDS = ("shell", "allow_pickle", "trust_remote_code")


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def floor_of(module: str) -> int:
    """Number of the floor a dotted module name of ours stands on; 0 for anything else."""
    return max((floor for package, floor in FLOORS.items() if is_within(module, package)), default=0)


def sources(root: Path) -> Iterator[Path]:
    """Every Python file of the four folders, once: the links inside ``rlprune/`` are not followed."""
    for folder in ("rlprune", *BARE):
        for path in sorted((root / folder).rglob("*.py")):
            inside = path.relative_to(root).parts
            if folder != "rlprune" or inside[1] not in BARE:
                yield path


def module_name(path: Path, root: Path) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts if parts[0] == "rlprune" else ["rlprune", *parts])


def imported_base(node: ast.ImportFrom, path: Path, root: Path) -> str:
    """The absolute module that ``from X import ...`` names, relative dots resolved."""
    if not node.level:
        return node.module or ""
    package = module_name(path, root).split(".")
    climbed = node.level - (path.name == "__init__.py")
    return ".".join([*package[: len(package) - climbed], *filter(None, [node.module])])


def imports(tree: ast.AST, path: Path, root: Path) -> Iterator[tuple[int, str, str]]:
    """Line, local name and absolute dotted name of every import, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = imported_base(node, path, root)
            for alias in node.names:
                yield node.lineno, alias.asname or alias.name, f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield node.lineno, "", argument.value


def used_names(tree: ast.AST, aliases: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every name and attribute that is read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            head, dot, rest = ast.unparse(node).partition(".")
            yield node.lineno, aliases.get(head, head) + dot + rest


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


def faults(path: Path, root: Path) -> set[str]:
    """Every broken rule in one file, as ``file:line: what``."""
    place = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = list(imports(tree, path, root))
    result = {
        f"{place}:{line}: {fault}"
        for line, _, name in found
        for fault in import_faults(module_name(path, root), place, name)
    }
    # `import a.b` binds `a`, so only renamed and from-imports change what a name means.
    aliases = {local: name for _, local, name in found if local and "." not in local}
    used: Iterable[tuple[int, str]] = [(line, name) for line, _, name in found]
    for line, name in [*used, *used_names(tree, aliases)]:
        if any(is_within(name, unsafe) for unsafe in UNSAFE):
            result.add(f"{place}:{line}: {name} can run code found in data")
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in UNSAFE_KEYWORDS and not _is_false(node.value):
            result.add(f"{place}:{node.lineno}: {node.arg} can run code found in data")
    return result


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def all_faults(root: Path) -> list[str]:
    return sorted(fault for path in sources(root) for fault in faults(path, root))


def test_the_floors_hold() -> None:
    assert len(list(sources(ROOT))) > 10
    assert not all_faults(ROOT), "\n".join(all_faults(ROOT))


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
    ("rlprune/support/files.py", "from pickle import loads", "pickle.loads can run code"),
    ("rlprune/support/files.py", "import torch as t\nt.load('x')", "files.py:2: torch.load can run code"),
    ("rlprune/support/files.py", "from torch import load as read\nread('x')", "torch.load can run code"),
    ("rlprune/support/files.py", "eval('1')", "eval can run code"),
    ("experiments/settings/problem.py", "import yaml\nyaml.load('x', None)", "yaml.load can run code"),
    ("rlprune/tasks/idx.py", "import numpy as np\nnp.load('x')", "numpy.load can run code"),
    (
        "rlprune/zoo/huggingface.py",
        "kind.from_pretrained('x', trust_remote_code=True)",
        "trust_remote_code can run code",
    ),
    ("rlprune/devices/host.py", "import subprocess\nsubprocess.run('x', shell=True)", "shell can run code"),
    ("experiments/settings/problem.py", "import os\nos.system('x')", "os.system can run code"),
]


@pytest.mark.parametrize(("place", "code", "message"), PLANTED)
def test_a_planted_violation_is_found(tmp_path: Path, place: str, code: str, message: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    assert any(message in fault for fault in all_faults(tmp_path)), all_faults(tmp_path)


ALLOWED = [
    ("rlprune/zoo/timm.py", "import timm"),
    (
        "rlprune/plans/plan.py",
        "from .errors import PlanError\nfrom rlprune.networks.network import Network\nmodel.eval()",
    ),
    ("envs/pruning.py", "import gymnasium as gym\nfrom . import actions\nfrom rlprune import budget"),
    ("experiments/settings/problem.py", "import yaml\nyaml.safe_load('a: 1')\nfrom rlprune.agents import policy"),
    ("agents/policy.py", "from safetensors.torch import load\nload(b'')"),
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
