"""How a network of another library is named: ``source:name?option=value&option=value#head``."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rlprune.errors import NetworkError


@dataclass(frozen=True)
class SourceName:
    """The parts of a name of a network, ``source:model``.

    Attributes:
        text: the whole name, for messages.
        source: before the first colon.
        name: what the source knows: a model, a file or a folder.
        options: each value read as JSON where it is JSON, else as text.
        head: behind the last ``#``, or None.
    """

    text: str
    source: str
    name: str
    options: Mapping[str, Any]
    head: str | None

    @classmethod
    def parse(cls, text: str) -> SourceName:
        """Take the name of a network apart.

        Raises:
            NetworkError: no name behind the colon, or an option without a value, or one that stands twice.
        """
        source, _, rest = text.partition(":")
        rest, _, head = rest.partition("#")
        name, _, query = rest.partition("?")
        if not name:
            raise NetworkError(f"{text!r} must name a network behind the colon, such as {source}:NAME?option=value.")
        return cls(text, source, name, _options(text, query), head or None)

    def check_options(self, known: Iterable[str]) -> None:
        """Refuse options that are not known; the nearest is offered.

        Raises:
            NetworkError: it names the option.
        """
        names = sorted(known)
        for option in self.options:
            if option not in names:
                nearest = difflib.get_close_matches(option, names, n=1)
                hint = f" Did you mean {nearest[0]!r}?" if nearest else f" Known: {', '.join(names)}."
                raise NetworkError(f"{self.text!r} has no option {option!r}.{hint}")


def _options(text: str, query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        key, equals, value = part.partition("=")
        if not (key and equals) or key in options:
            raise NetworkError(f"Options must read option=value, each once, with & between them; {part!r} in {text!r}.")
        options[key] = _value(value)
    return options


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"True": True, "False": False, "None": None}.get(text, text)


def image_size(value: Any, name: SourceName) -> tuple[int, int]:
    """Height and width from one number or two.

    Raises:
        NetworkError: it is neither.
    """
    sides = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise NetworkError(f"An image size must be a positive number or [height, width]; {value!r} in {name.text!r}.")
    return sides[0], sides[1]
