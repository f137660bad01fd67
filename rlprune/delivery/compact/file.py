"""A network in one compact file: safetensors, in which treated weights are bytes (see ``packing.py``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import overload

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from rlprune.arrays import IntArray
from rlprune.delivery.compact.packing import WIDTHS, Form, Stored, pack, sizes, treated, unpack
from rlprune.errors import ConfigError, NetworkError, unknown_name
from rlprune.support.files import MAX_JSON_BYTES, parse_json, read_bytes, write_atomic

__all__ = [
    "Stored",
    "compact_bytes",
    "data_bytes",
    "load_compact",
    "save_compact",
    "stored_bytes",
    "treated",
    "verify_compact",
]

SCHEMA = "rlprune-compact/1"
METADATA = "rlprune"
"""The one key of the header's metadata: safetensors writes several in any order."""
MAX_FILE_BYTES = 1 << 30
Whole = IntArray


@overload
def stored_bytes(numel: int, kept: int, bits: int, out_channels: int, mean: bool = False) -> int: ...
@overload
def stored_bytes(
    numel: int | Whole, kept: int | Whole, bits: int | Whole, out_channels: int | Whole, mean: bool = False
) -> int | Whole: ...
def stored_bytes(
    numel: int | Whole, kept: int | Whole, bits: int | Whole, out_channels: int | Whole, mean: bool = False
) -> int | Whole:
    """Bytes of one treated weight in a compact file; whole numbers, or arrays of them that broadcast.

    The smallest of four: dense or sparse, in ``bits`` or as float32. Dense: ``numel * bits / 8``; sparse: ``kept * bits
    / 8`` and ``numel / 8``; each rounded up; with fewer than 32 bits ``4 * out_channels`` more for the scales, with a
    mean 4 more, but for dense float32, which holds it anyway.

    It never falls when ``kept`` or ``bits`` rises: no term does up to 16 bits, and what float32 takes is among the four
    at any ``bits``.

    Args:
        numel: entries of the weight.
        kept: entries that remain, at most ``numel``.
        bits: 4, 8, 16 or 32.
        out_channels: of the weight.
        mean: whether removed entries are their mean.

    Raises:
        ConfigError: a number is out of range.
    """
    if not np.isin(bits, WIDTHS).all() or not (np.less_equal(0, kept) & np.less_equal(kept, numel)).all():
        raise ConfigError(
            f"Weights are stored in {', '.join(map(str, WIDTHS))} bits, and at most all of their entries are kept; "
            f"{bits!r:.80} bits and {kept!r:.80} of {numel!r:.80} came."
        )
    ways = sizes(numel, kept, bits, out_channels, mean)
    least: Whole = np.minimum.reduce(np.broadcast_arrays(*(size for *_, size in ways)))
    return least if least.ndim else int(least)


def save_compact(path: str | Path, state: Mapping[str, Tensor], treatment: Mapping[str, Stored]) -> Path:
    """Write a network's tensors into one file, atomically; see :func:`compact_bytes`.

    Raises:
        NetworkError: the file would be larger than is read, or cannot be written; else as :func:`compact_bytes`.
    """
    content = compact_bytes(state, treatment)
    verify_compact(content)
    return write_atomic(path, content, NetworkError)


def verify_compact(content: bytes, state: Mapping[str, Tensor] | None = None) -> None:
    """Refuse what :func:`load_compact` would not read, and, where ``state`` is given, other tensors than these.

    Raises:
        NetworkError: there are more bytes than are read, or a tensor comes back otherwise.
    """
    if len(content) > MAX_FILE_BYTES:
        raise NetworkError(
            f"A compact file has at most {MAX_FILE_BYTES} bytes, for no more are read; this one would have "
            f"{len(content)}. Use the plain safetensors file instead."
        )
    if state is None:
        return
    read = unpacked(content, "The compact file")
    for key, tensor in state.items():
        if key not in read or not _same_bits(read[key], tensor.detach().cpu()):
            raise NetworkError(f"The compact file must hold the network's tensors; {key!r:.80} comes back otherwise.")


def _same_bits(left: Tensor, right: Tensor) -> bool:
    alike = (left.dtype, left.shape) == (right.dtype, right.shape)
    return alike and torch.equal(*(each.flatten().view(torch.uint8) for each in (left, right)))


def compact_bytes(state: Mapping[str, Tensor], treatment: Mapping[str, Stored]) -> bytes:
    """A network's tensors as the content of a compact file.

    Its data take :func:`stored_bytes` of every treated weight and the plain size of every other tensor; before them
    stand 8 bytes and a JSON header with names, shapes and forms.

    Args:
        state: of a network, as it was or treated already.
        treatment: key -> how its weight is stored; other tensors are stored as they are.

    Raises:
        NetworkError: a key is not in ``state``, or a weight cannot be treated so.
        ConfigError: a treated weight has no dimension ``out_dim``.
    """
    tensors: dict[str, Tensor] = {}
    forms: dict[str, Form] = {}
    for key in treatment:
        if key not in state:
            raise NetworkError(unknown_name("tensor", key, state))
    for key, tensor in state.items():
        if key in treatment:
            forms[key], tensors[key] = pack(tensor, treatment[key])
        else:
            tensors[key] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    described = {"schema": SCHEMA, "treated": {key: form.to_json() for key, form in forms.items()}}
    if wide := [key for key in forms if state[key].dtype == torch.float64]:
        described["float64"] = wide
    return save(tensors, {METADATA: json.dumps(described, separators=(",", ":"))})


def data_bytes(content: bytes) -> int:
    """Bytes of the tensors in the content of a safetensors file: all but its header, which names them."""
    return len(content) - 8 - int.from_bytes(content[:8], "little")


def load_compact(path: str | Path) -> dict[str, Tensor]:
    """Read a network's tensors back: treated weights bit for bit as :func:`treated` gives them; others as they were.

    Nothing is unpickled, and no tensor takes more than 64 times its bytes in the file.

    Raises:
        NetworkError: the file is missing, has more than 1 GiB, or does not hold what its header says.
    """
    return unpacked(read_bytes(path, NetworkError, MAX_FILE_BYTES), path)


def unpacked(content: bytes, path: str | Path) -> dict[str, Tensor]:
    """The same of a file's content; ``path`` says in errors where it is from."""
    try:
        tensors = load(content)
    except Exception as reason:
        last = (str(reason).splitlines() or [type(reason).__name__])[-1].strip().removesuffix(".")
        raise NetworkError(f"{path} must be a whole safetensors file ({last}). Write it again.") from reason
    forms, wide = _forms(content, path)
    if not set(forms) <= set(tensors):
        raise NetworkError(f"{path} describes tensors that it does not hold: {min(set(forms) - set(tensors))!r:.80}.")
    for key, form in forms.items():
        weight = unpack(tensors[key], form, f"{path}: {key!r:.80}")
        tensors[key] = weight.double() if key in wide else weight
    return tensors


def _forms(content: bytes, path: str | Path) -> tuple[dict[str, Form], set[str]]:
    """What the header of a file that safetensors could read says of treated weights, and which are float64."""
    length = int.from_bytes(content[:8], "little")
    if length > MAX_JSON_BYTES:
        raise NetworkError(f"{path} has a header of {length} bytes; at most {MAX_JSON_BYTES} are read.")
    header = parse_json(content[8 : 8 + length].decode(), f"The header of {path}", NetworkError)
    metadata = (header.get("__metadata__") or {}).get(METADATA, "{}")
    described = parse_json(metadata, f"The metadata of {path}", NetworkError)
    schema, forms = described.get("schema"), described.get("treated")
    if schema != SCHEMA or not isinstance(forms, dict):
        raise NetworkError(f"{path} must have schema {SCHEMA!r}; {schema!r:.80} came. Is it a compact file of rlprune?")
    wide = described.get("float64", [])
    if not isinstance(wide, list) or not all(isinstance(key, str) and key in forms for key in wide):
        raise NetworkError(f"{path}: 'float64' must be a list of treated weights; {wide!r:.80} came.")
    return {key: Form.from_json(form, f"{path}: {key!r:.80}") for key, form in forms.items()}, set(wide)
