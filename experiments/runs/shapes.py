"""What plain values must look like, written as plain values.

A type stands for its values (``float`` for whole numbers too, ``bool`` for nothing else, ``object`` for anything),
``None`` for itself, ``(a, b)`` for either, ``[a]`` for a list, ``{str: a}`` for an object with any names, and
``{"name": a, "other?": b}`` for one that has these; more is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Shape = Any


def mismatches(value: Any, shape: Shape, place: str = "") -> Iterator[str]:
    """Where ``value`` is not of ``shape``: dotted places, and what is wrong there."""
    if isinstance(shape, tuple):
        if all(next(mismatches(value, either), None) for either in shape):
            yield from mismatches(value, shape[0], place)
    elif isinstance(shape, list):
        yield from _each(enumerate(value), shape[0], place) if isinstance(value, list) else [f"{place} must be a list"]
    elif isinstance(shape, dict):
        yield from _in_object(value, shape, place) if isinstance(value, dict) else [f"{place} must be an object"]
    elif not _is(value, shape):
        yield f"{place} must be {'nothing' if shape is None else shape.__name__}"


def _is(value: Any, shape: Shape) -> bool:
    if shape is None:
        return value is None
    if isinstance(value, bool):
        return shape in (bool, object)
    return isinstance(value, (int, float) if shape is float else shape)


def _in_object(value: dict[str, Any], shape: dict[Any, Shape], place: str) -> Iterator[str]:
    if str in shape:
        yield from _each(value.items(), shape[str], place)
        return
    for key, inner in shape.items():
        name = key.removesuffix("?")
        if name in value:
            yield from mismatches(value[name], inner, f"{place}.{name}".lstrip("."))
        elif name == key:
            yield f"{place}.{name} is missing".lstrip(".")


def _each(items: Any, shape: Shape, place: str) -> Iterator[str]:
    for name, item in items:
        yield from mismatches(item, shape, f"{place}.{name}".lstrip("."))
