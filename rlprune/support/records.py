"""Plain values from files made typed records: every field of its kind, and what is not is named by its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from rlprune.support.files import LARGEST

Record = TypeVar("Record")
Key = str | int
Whole = Annotated[int, Meta(ge=0, le=LARGEST)]
Count = Annotated[int, Meta(ge=1, le=LARGEST)]
NotNegative = Annotated[float, Meta(ge=0, le=LARGEST)]
Positive = Annotated[float, Meta(gt=0, le=LARGEST)]
Share = Annotated[float, Meta(ge=0, le=1)]
MISSING = "Object missing required field "
UNNAMED = "[...]"
"""What msgspec says of any key in an object whose names are free."""


def as_record(value: Any, kind: type[Record]) -> Record:
    """Values that JSON knows as a record: a msgspec struct, a dataclass, or a container of them.

    Nothing becomes something else, but for whole numbers where any number will do. Keys that the record does not have
    are passed over, unless it forbids them.

    Raises:
        ValueError: the place of the first wrong value and what must be there, as a sentence without its end.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as reason:
        raise ValueError(_told(value, kind, str(reason))) from reason


def as_plain(record: Any) -> Any:
    """The values that :func:`as_record` reads, of structs and containers of them."""
    return msgspec.to_builtins(record)


def _told(value: Any, kind: type[Any], message: str) -> str:
    words, _, path = message.replace("`", "").partition(" - at ")
    path = path.removeprefix("key in ").removeprefix("$")
    place: list[Key] = []
    for part in re.findall(r"\[[^]]*]|\.[^.[]+", path):
        if part == UNNAMED:
            place.append(_first_wrong(value, kind, message, place))
        else:
            place.append(int(part[1:-1]) if part.startswith("[") else part[1:])
    if words.startswith(MISSING):
        return f"{_joined([*place, words.removeprefix(MISSING)])} is missing"
    came = "" if "got" in words or not words.startswith("Expected") else f"; {_at(value, place)!r:.80} came"
    return f"{_joined(place)}: {words[0].lower()}{words[1:]}{came}" if place else words + came


def _joined(place: Iterable[Key]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")


def _first_wrong(value: Any, kind: type[Any], message: str, place: Sequence[Key]) -> str:
    """The entry that is wrong of an object at a place: others are left out by halves as long as the message stays."""
    entries = _at(value, place)
    names = list(entries)
    while len(names) > 1:
        half = names[: len(names) // 2]
        try:
            msgspec.convert(_with(value, place, {name: entries[name] for name in half}), kind)
            same = False
        except msgspec.ValidationError as reason:
            same = str(reason) == message
        names = half if same else names[len(half) :]
    return str(names[0])


def _at(value: Any, place: Iterable[Key]) -> Any:
    for key in place:
        value = value[key]
    return value


def _with(value: Any, place: Sequence[Key], entries: Any) -> Any:
    """A copy that has something else at a place."""
    if not place:
        return entries
    copy = value.copy()
    copy[place[0]] = _with(value[place[0]], place[1:], entries)
    return copy
