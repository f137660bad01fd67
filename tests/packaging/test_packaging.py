"""What the wheel holds, and that it works where nothing else of the project is."""

from __future__ import annotations

import configparser
import os
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import rlprune

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("rlprune", "envs", "agents", "experiments")
BARE = FOLDERS[1:]
UNSHIPPED = "rlprune/experiments/benchmarks/"
SHIPPED = ("*.py", "py.typed", "*.json", "*.safetensors", "*.yaml", "*.jinja", "*.css")


def run(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def installed_name(path: Path) -> str:
    """Where a file of the tree stands in the wheel."""
    name = path.relative_to(ROOT).as_posix()
    return name if name.startswith("rlprune/") else f"rlprune/{name}"


def tree_files(pattern: str) -> set[str]:
    """Names in the wheel of the tree's files that match and ship, each once: links are not followed."""
    linked = tuple(f"rlprune/{name}/" for name in BARE)
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob(pattern) if path.is_file())
    named = {installed_name(path) for path in found if not path.relative_to(ROOT).as_posix().startswith(linked)}
    return {name for name in named if not name.startswith(UNSHIPPED)}


def clean_copy(folder: Path) -> Path:
    """A copy of all that a build reads. A build in the tree itself would reuse what an older one left there."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def without_links(folder: Path) -> Path:
    """What a clone without symlink support holds: small text files where the links were."""
    for name in BARE:
        link = folder / "rlprune" / name
        link.unlink()
        link.write_text(f"../{name}", encoding="utf-8")
    return folder


def build(source: Path, out: Path, *options: str) -> Path:
    run(sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", out, source, cwd=source)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive as a release is."""
    return build(clean_copy(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def clean_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and, through a path line, the dependencies that are installed here.

    Python does not read the ``.pth`` files of a folder added this way, so an editable install stays unseen.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    return folder


def test_every_package_is_listed() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = config["tool"]["setuptools"]["packages"]
    in_tree = {str(Path(name).parent).replace("/", ".") for name in tree_files("__init__.py")}
    assert sorted(listed) == sorted(in_tree)


def test_every_module_stands_in_a_package() -> None:
    packages = {Path(name).parent for name in tree_files("__init__.py")}
    assert {name for name in tree_files("*.py") if Path(name).parent not in packages} == set()


def test_the_links_lead_to_the_folders() -> None:
    for name in BARE:
        link = ROOT / "rlprune" / name
        assert link.is_symlink() or link.is_file()  # a file where the clone could not make links
        if link.is_symlink():
            assert os.readlink(link) == f"../{name}"


def test_the_wheel_holds_the_tree_and_nothing_else(names: set[str]) -> None:
    information = {name for name in names if name.partition("/")[0] == f"rlprune-{rlprune.__version__}.dist-info"}
    shipped = {name for pattern in SHIPPED for name in tree_files(pattern)}
    assert {"rlprune/envs/__init__.py", "rlprune/py.typed"} <= names
    assert names - information == shipped


def test_benchmarks_stay_in_the_checkout(names: set[str], clean_environment: Path, tmp_path: Path) -> None:
    assert not {name for name in names if name.startswith(UNSHIPPED)}
    code = "import importlib.util; print(importlib.util.find_spec('rlprune.experiments.benchmarks'))"
    assert run(clean_environment / "bin" / "python", "-I", "-c", code, cwd=tmp_path).strip() == "None"
    helped = run(sys.executable, "-m", "rlprune.experiments.benchmarks.bootstrap_coverage", "--help", cwd=tmp_path)
    assert "--out" in helped


def test_the_wheel_names_the_command_and_the_licence(wheel: Path) -> None:
    information = f"rlprune-{rlprune.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        points = configparser.ConfigParser()
        points.read_string(archive.read(f"{information}/entry_points.txt").decode())
        licence = archive.read(f"{information}/licenses/LICENSE").decode()
    assert dict(points["console_scripts"]) == {"rlprune": "rlprune.experiments.cli:main"}
    assert "Apache License" in licence


def test_a_clone_without_links_builds_the_same_wheel(names: set[str], tmp_path: Path) -> None:
    source = without_links(clean_copy(tmp_path / "source"))
    with zipfile.ZipFile(build(source, tmp_path / "wheel", "--wheel")) as archive:
        assert set(archive.namelist()) == names


def test_the_installed_wheel_offers_rlprune_and_no_bare_folder(clean_environment: Path, tmp_path: Path) -> None:
    code = f"""
import importlib.util, rlprune, rlprune.envs
print(rlprune.__version__, rlprune.__file__, rlprune.envs.__file__, sep="\\n")
print([name for name in {BARE!r} if importlib.util.find_spec(name)])
"""
    printed = run(clean_environment / "bin" / "python", "-I", "-c", code, cwd=tmp_path).splitlines()
    assert printed[0] == rlprune.__version__
    assert all(Path(path).is_relative_to(clean_environment) for path in printed[1:3])
    assert printed[3:] == ["[]"]


@pytest.mark.slow
def test_every_module_of_the_installed_wheel_imports(clean_environment: Path, names: set[str], tmp_path: Path) -> None:
    files = sorted(name for name in names if name.endswith(".py") and not name.endswith("__main__.py"))
    modules = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files]
    code = f"""
import importlib
for name in {modules!r}:
    print(importlib.import_module(name).__file__)
"""
    printed = run(clean_environment / "bin" / "python", "-I", "-c", code, cwd=tmp_path).splitlines()
    assert len(printed) == len(modules) > 10
    assert all(Path(path).is_relative_to(clean_environment) for path in printed)


def test_the_installed_command_runs(clean_environment: Path, tmp_path: Path) -> None:
    printed = run(clean_environment / "bin" / "rlprune", "--help", cwd=tmp_path)
    assert "train" in printed
    assert "profile" in printed
