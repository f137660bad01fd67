"""``module:function`` references, the one door through which a user's own code enters."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlprune.errors import RlpruneError, nearest


def is_reference(name: str) -> bool:
    """True for ``package.module:function``."""
    module, _, function = name.partition(":")
    return bool(module) and function.isidentifier()


def load_function(reference: str, error: type[RlpruneError]) -> Callable[..., Any]:
    """Import the function that ``module:function`` names; the working folder is searched too.

    Raises:
        error: the module does not import, or has no such callable.
    """
    module_name, _, function_name = reference.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as reason:
        raise error(
            f"{reference!r} must name a function as module:function; importing {module_name!r} failed: {reason}."
        ) from reason
    function = getattr(module, function_name, None)
    if not callable(function):
        hint = nearest(function_name, [name for name, value in vars(module).items() if callable(value)])
        raise error(f"Module {module_name!r} has no function {function_name!r}.{hint} Check the name after the colon.")
    return function  # type: ignore[no-any-return]


def call_function(reference: str, error: type[RlpruneError]) -> Any:
    """Call the referenced function without arguments and return what it returns."""
    function = load_function(reference, error)
    try:
        return function()
    except RlpruneError:
        raise
    except (Exception, SystemExit) as reason:
        raise error(f"Calling {reference}() failed: {type(reason).__name__}: {reason}.") from reason
