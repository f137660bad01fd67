"""No code of the project runs code that it finds in data."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.imports import ROOT, imports, is_within, sources, used_names

# Names that run code found in data.
UNSAFE = {
    *("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"),
    *("eval", "exec", "torch.load", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.CLoader", "torch.jit.load", "torch.hub", "runpy"),
    *("os.system", "os.popen", "joblib.load", "numpy.load", "numpy.fromfile", "builtins.eval", "builtins.exec"),
}
# Keywords of calls that let a file or a shell decide what is run.
UNSAFE_KEYWORDS = ("shell", "allow_pickle", "trust_remote_code")


def faults(path: Path, root: Path) -> set[str]:
    """Every unsafe name or keyword in one file, as ``file:line: what``."""
    place = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = list(imports(tree, path, root))
    # `import a.b` binds `a`, so only renamed and from-imports change what a name means.
    aliases = {local: name for _, local, name in found if local and "." not in local}
    used: Iterable[tuple[int, str]] = [(line, name) for line, _, name in found]
    result = {
        f"{place}:{line}: {name} can run code found in data"
        for line, name in [*used, *used_names(tree, aliases)]
        if any(is_within(name, unsafe) for unsafe in UNSAFE)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in UNSAFE_KEYWORDS and not _is_false(node.value):
            result.add(f"{place}:{node.lineno}: {node.arg} can run code found in data")
    return result


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def all_faults(root: Path) -> list[str]:
    return sorted(fault for path in sources(root) for fault in faults(path, root))


def test_nothing_runs_code_found_in_data() -> None:
    assert not all_faults(ROOT), "\n".join(all_faults(ROOT))


PLANTED = [
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
    ("rlprune/plans/plan.py", "model.eval()"),
    ("experiments/settings/problem.py", "import yaml\nyaml.safe_load('a: 1')"),
    ("agents/policy.py", "from safetensors.torch import load\nload(b'')"),
]


@pytest.mark.parametrize(("place", "code"), ALLOWED)
def test_what_the_rules_allow_is_no_fault(tmp_path: Path, place: str, code: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    assert not all_faults(tmp_path)
