"""A document for people, as plain values: sections of blocks, which Markdown and HTML are written from.

Texts may hold ``**bold**`` and `` `code` ``. All else in them is literal: both writers escape it, wherever it came
from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

_MARKS = re.compile(r"\*\*(?P<strong>[^*]+)\*\*|`(?P<code>[^`]+)`")
_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")

Tag: TypeAlias = Literal["", "strong", "code"]


@dataclass(frozen=True)
class Words:
    """A paragraph; a warning stands out."""

    kind: ClassVar = "words"
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Figure:
    """A number to be seen from afar: what it is of, the number, and what it rests on."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Figures:
    """Numbers in a row."""

    kind: ClassVar = "figures"
    items: Sequence[Figure]


@dataclass(frozen=True)
class Table:
    """A table: its first column is text.

    Attributes:
        bold: the line that stands out, if any.
        numbers: whether the other columns are numbers.
    """

    kind: ClassVar = "table"
    heads: Sequence[str]
    cells: Sequence[Sequence[str]]
    bold: int | None = None
    numbers: bool = True


@dataclass(frozen=True)
class Picture:
    """A PNG file: beside the document, or in ``pictures/`` beside it."""

    kind: ClassVar = "picture"
    path: Path
    caption: str


@dataclass(frozen=True)
class Code:
    """Lines as they are."""

    kind: ClassVar = "code"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    kind: ClassVar = "terms"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Folded:
    """Details under a summary: shown on demand in HTML, always in Markdown."""

    kind: ClassVar = "folded"
    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = Words | Figures | Table | Picture | Code | Bullets | Terms | Folded


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A title, what the page begins with, and sections."""

    title: str
    opening: Sequence[Block]
    sections: Sequence[Section]


def spans(text: str) -> list[tuple[Tag, str]]:
    """A text as pieces: the tag of each, empty for plain words, and its literal content."""
    pieces: list[tuple[Tag, str]] = []
    end = 0
    for match in _MARKS.finditer(text):
        pieces.append(("", text[end : match.start()]))
        pieces.append(("strong", match["strong"]) if match["strong"] else ("code", match["code"]))
        end = match.end()
    return [(tag, piece) for tag, piece in [*pieces, ("", text[end:])] if piece]


def to_markdown(document: Document) -> str:
    """The document as Markdown."""
    parts = [f"# {_inline(document.title)}", *map(block_to_markdown, document.opening)]
    for section in document.sections:
        parts += [f"## {_inline(section.title)}", *map(block_to_markdown, section.blocks)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """A Markdown table; the line that stands out is bold."""
    rules = ["---", *["---:" if table.numbers else "---"] * (len(table.heads) - 1)]
    lines = [[_cell(cell, index == table.bold) for cell in line] for index, line in enumerate(table.cells)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [[_cell(head) for head in table.heads], rules, *lines])


def block_to_markdown(block: Block) -> str:
    """One block as Markdown."""
    match block:
        case Words(text, warning):
            return f"> {_inline(text)}" if warning else _inline(text)
        case Figures(items):
            cells = [[item.label, item.value, item.detail] for item in items]
            return markdown_table(Table(["", "", ""], cells, numbers=False))
        case Table():
            return markdown_table(block)
        case Picture(path, caption):
            place = f"pictures/{path.name}" if path.parent.name == "pictures" else path.name
            return f"![{_inline(caption)}]({place})\n\n*{_inline(caption)}*"
        case Code(text):
            return _fenced(text)
        case Bullets(items):
            return "\n".join(f"- {_inline(item)}" for item in items)
        case Terms(items):
            return "\n".join(f"- **{_inline(term)}**: {_inline(text)}" for term, text in items)
        case Folded(summary, blocks):
            return "\n\n".join([f"### {_inline(summary)}", *map(block_to_markdown, blocks)])


def _inline(text: str) -> str:
    return "".join(_span(tag, piece) for tag, piece in spans(" ".join(text.split())))


def _span(tag: Tag, piece: str) -> str:
    if tag == "code":
        return f"`{piece}`"
    return f"**{_escaped(piece)}**" if tag == "strong" else _escaped(piece)


def _escaped(text: str) -> str:
    """What Markdown or HTML would take for its own."""
    entities = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", entities)


def _cell(text: str, bold: bool = False) -> str:
    """A bar ends a cell even within code."""
    inner = re.sub(r"(?<!\\)\|", r"\\|", _inline(text))
    return f"**{inner}**" if bold and inner.strip() and "**" not in inner else inner


def _fenced(text: str) -> str:
    """Fenced with more backticks than the text has in a row."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
