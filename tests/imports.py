"""Reads what the files of the project import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE = ("envs", "agents", "experiments")
"""Folders that stand at the top level and are imported as ``rlprune.envs`` and so on."""


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


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


def import_graph(root: Path) -> dict[tuple[str, str], str]:
    """(module, other module of ours that it imports) -> where it does, as ``file:line``."""
    paths = {module_name(path, root): path for path in sources(root)}
    found: dict[tuple[str, str], str] = {}
    for module, path in paths.items():
        for line, _, name in imports(ast.parse(path.read_text(encoding="utf-8")), path, root):
            target = name if name in paths else name.rpartition(".")[0]
            if target in paths and target != module:
                found.setdefault((module, target), f"{path.relative_to(root).as_posix()}:{line}")
    return found
