"""Layers that share a reason, told together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SHOWN = 6
NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Reason:
    """A reason and all layers it holds for.

    Attributes:
        text: numbers in which the reasons of these layers differ are ``*``.
        layers: in forward order.
    """

    text: str
    layers: tuple[str, ...]


def grouped(reasons: Mapping[str, str]) -> list[Reason]:
    """Reasons in the order of their first layer, from layer name -> reason.

    ``blocks.0.attn mixes its channels`` and ``blocks.1.attn mixes its channels`` are one.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for layer, text in reasons.items():
        found[_without_numbers(text)].append(layer)
    return [Reason(_common([reasons[layer] for layer in layers]), tuple(layers)) for layers in found.values()]


def told(reasons: Mapping[str, str]) -> str:
    """The same in one sentence: ``blocks.*.fc (12), head because ...; ...``."""
    return "; ".join(f"{alike(reason.layers)} because {reason.text}" for reason in grouped(reasons))


def alike(names: Iterable[str]) -> str:
    """Names for people: ``blocks.*.fc1 (12), head``; what differs in numbers only stands once, with its count.

    Names that are nothing but a number, as in a ``Sequential``, stand one by one.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[name if name.isdecimal() else _without_numbers(name)].append(name)
    parts = [same[0] if len(same) == 1 else f"{_common(same)} ({len(same)})" for same in found.values()]
    return listed(parts)


def listed(names: Iterable[str]) -> str:
    """The first few of these names."""
    shown = list(names)
    more = len(shown) - SHOWN
    return ", ".join(shown[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _without_numbers(text: str) -> str:
    return NUMBER.sub("*", text)


def _common(texts: Sequence[str]) -> str:
    """Texts that differ in numbers only, as one: ``*`` where the numbers differ."""
    pieces = zip(*(NUMBER.split(text) for text in texts), strict=True)
    return "".join(piece[0] if len(set(piece)) == 1 else "*" for piece in pieces)
