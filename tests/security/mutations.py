"""Strategies that spoil files: bytes, JSON trees, tables and settings."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

CANARY = "canary-of-the-security-tests"
"""A file in the working folder that appears where anything in a spoilt file is run."""
SHELL = f"touch {CANARY}"
CHUNKS = (
    *(b"", b"\x00", b"\xff\xfe", b"\x1f\x8b", b'"', b"{", b"[" * 3000, b"]", b",", b"-", b"\n", b"NaN", b"1e400"),
    *(b"9" * 5000, b"\xed\xa0\x80", "\u202e\u0000".encode(), b"../../../etc/passwd", b"&a [*a, *a]", b"!!binary "),
    *(b"\xff" * 8, (2**31).to_bytes(8, "little"), b"F64", b"BOOL", b"8589934592"),
    f"!!python/object/apply:os.system ['{SHELL}']".encode(),
    f"cos\nsystem\n(S'{SHELL}'\ntR.".encode(),
)
ODD = (
    *("null", "true", "false", "0", "-1", "1", "0.5", "-0.0", "1e-320", "1e308", "1e400", "-1e400", "NaN", "Infinity"),
    *("2147483648", "9223372036854775807", "9223372036854775808", "1" + 400 * "0", "1" + 5000 * "0", "1.5"),
    *('""', '"x"', '"../x"', '"/etc/passwd"', '"a/b"', '"NaN"', '"\\ud800"', '"\\u001b]0;x"', '"1"', '"-"'),
    *("[]", "{}", "[[]]", "[null]", "[0]", '[""]', '{"":0}', '{"x":{}}', "[1,2,3]", '["1"]'),
    "[" * 50 + "]" * 50,
    "[" * 5000 + "]" * 5000,
    '{"a":' * 40 + "1" + "}" * 40,
    '"' + "x" * 100_000 + '"',
    "[" + "1," * 20_000 + "1]",
    "[" + '"",' * 2_000 + '""]',
    json.dumps(f"__import__('os').system('{SHELL}')"),
    json.dumps("os:abort"),
)
"""Values as JSON text, because some of them are no values of Python."""


@st.composite
def spoilt_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """One to four times: a byte changed, the end cut off, a stretch left out or said again, or something odd put in."""
    found = content
    for _ in range(draw(st.integers(1, 4))):
        place, length = draw(st.integers(0, len(found))), draw(st.integers(0, 40))
        kind = draw(st.sampled_from(("change", "cut", "drop", "repeat", "odd")))
        before, after = found[:place], found[place:]
        if kind == "change":
            found = before + bytes([draw(st.integers(0, 255))]) + after[1:]
        elif kind == "cut":
            found = before
        elif kind == "drop":
            found = before + after[length:]
        elif kind == "repeat":
            found = before + before[-length:] + after
        else:
            found = before + draw(st.sampled_from(CHUNKS)) + after[draw(st.sampled_from((0, length))) :]
    return found


@st.composite
def spoilt_tree(draw: st.DrawFn, tree: Any, seal: Callable[[Any], Any] | None = None) -> bytes:
    """One to three values of a JSON tree left out, replaced by odd ones, said twice, or exchanged with another.

    Args:
        seal: applied to the spoilt tree where it still can be, so that a check of its digest does not hide the rest.
    """
    found, odd = copy.deepcopy(tree), {}
    for number in range(draw(st.integers(1, 3))):
        places = list(_places(found))
        if not places:
            break
        parent, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(("drop", "odd", "odd", "odd", "twice", "exchange", "rename")))
        if kind == "drop":
            del parent[key]
        elif kind == "odd":
            parent[key] = mark = f"@@{number}@@"
            odd[json.dumps(mark)] = draw(st.sampled_from(ODD))
        elif kind == "twice" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif kind == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from(("", "x", "../x", "a/b", ".", "\u202e", "n" * 300)))] = parent.pop(key)
        else:
            other, name = draw(st.sampled_from(places))
            parent[key] = copy.deepcopy(other[name])
    return _written(found, odd, seal)


def _written(tree: Any, odd: dict[str, str], seal: Callable[[Any], Any] | None) -> bytes:
    text = json.dumps(tree)
    for mark, value in odd.items():
        text = text.replace(mark, value)
    if seal is not None:
        with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
            text = json.dumps(seal(json.loads(text)))
    return text.encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each key of it; of long lists the ends."""
    if isinstance(tree, dict):
        keys: list[Any] = list(tree)
    elif isinstance(tree, list):
        keys = [*range(min(3, len(tree))), *range(max(3, len(tree) - 1), len(tree))]
    else:
        return
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


CELLS = ("", "nan", "inf", "-inf", "1e400", "-1", "1e15", "9" * 400, "9" * 5000, "1 2", "x", "\x00", '"', "1,2", "a\nb")


@st.composite
def spoilt_table(draw: st.DrawFn, content: str) -> bytes:
    """Cells, rows and columns of a CSV file replaced, left out or said again."""
    rows = [line.split(",") for line in content.splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.integers(0, len(rows) - 1)) if draw(st.booleans()) else 0
        column = draw(st.integers(0, max(len(rows[row]) - 1, 0)))
        kind = draw(st.sampled_from(("cell", "cell", "no cell", "one more", "no row", "same row")))
        if kind == "cell":
            rows[row][column : column + 1] = [draw(st.sampled_from(CELLS))]
        elif kind == "no cell":
            del rows[row][column : column + 1]
        elif kind == "one more":
            rows[row].insert(column, draw(st.sampled_from(CELLS)))
        elif kind == "same row":
            rows.append(list(rows[row]))
        elif len(rows) > 1:
            del rows[row]
    return "\n".join(",".join(cells) for cells in rows).encode()


SETTINGS = (
    *("!!python/object/apply:os.system ['" + SHELL + "']", "!!python/name:os.abort", "&a [*a]", "*a", "<<: *a"),
    *("null", "true", "-1", "0", "1e400", ".inf", ".nan", "9" * 400, "9" * 5000, "2001-01-01", "!!binary aGk=", "0x10"),
    *(
        "'" + "x" * 100_000 + "'",
        "[" * 100,
        "[" * 4000 + "]" * 4000,
        "{}",
        "[]",
        "[1, 2]",
        "{a: b}",
        '"\\e[2J"',
        "1:30",
    ),
    *("{class_path: os.system, init_args: {command: " + SHELL + "}}", "${oc.env:HOME}", "../../x", "? [a]\n: b", "|"),
)


@st.composite
def spoilt_settings(draw: st.DrawFn, content: str) -> bytes:
    """Lines of a YAML file with odd values, names or nothing."""
    lines = content.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        name, _, value = lines[place].partition(":")
        kind = draw(st.sampled_from(("value", "value", "value", "name", "line", "twice")))
        if kind == "value":
            lines[place] = f"{name}: {draw(st.sampled_from(SETTINGS))}"
        elif kind == "name":
            lines[place] = f"{draw(st.sampled_from((*SETTINGS, 'config', 'help', 'print_config', '__path__')))}:{value}"
        elif kind == "line":
            lines[place] = draw(st.sampled_from(SETTINGS))
        else:
            lines.append(lines[place])
    return "\n".join(lines).encode()
