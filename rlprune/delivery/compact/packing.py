"""One weight as bytes: its entries, or a bit for each and those that remain, in 32, 16, 8 or 4 bits.

Bytes, in this order and little-endian; a part that a form does not have takes none:

1. scales, float32, one for each output channel (fewer than 32 bits);
2. the mean of the removed entries, float32;
3. values, in the order of the flattened weight: float32, float16, int8, or two's complement of 4 bits, two to a byte,
   the first in the low half. Sparse: those that remain. Dense: all; where there is a mean, removed ones are NaN, or the
   lowest code, which no value takes;
4. sparse: a bit for each entry, 1 where it remains, eight to a byte, the first in the highest bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rlprune.arrays import BoolArray
from rlprune.errors import ConfigError, NetworkError
from rlprune.pruning.codes import check_out_dim, dequantize, halve, largest_code, quantize
from rlprune.pruning.weights import check_mask, mean_of_removed

WIDTHS = (4, 8, 16, 32)
MOST_DIMENSIONS = 8
LONGEST_DIMENSION = 2**31 - 1
Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[Any]
Mask = BoolArray
_TYPES: dict[int, np.dtype[Any]] = {8: np.dtype("int8"), 16: np.dtype("<f2"), 32: np.dtype("<f4")}


@dataclass(frozen=True, eq=False)
class Stored:
    """How a weight is treated when it is stored.

    Attributes:
        bits: of each value that remains: 32 (float32), 16 (float16), 8 or 4 (whole numbers); all but 32 with a float32
            scale for each output channel, as :func:`~rlprune.pruning.codes.quantize` and
            :func:`~rlprune.pruning.codes.halve` make them of the values that remain.
        out_dim: the dimension of the weight that holds output channels.
        mask: bool, shaped as the weight, True where an entry remains; None where all do.
        mean: whether removed entries are their mean and not 0. Room is kept for it even where none is removed, so that
            no weight takes less room with more entries.

    Raises:
        ConfigError: ``bits`` is none of these.
    """

    bits: int = 32
    out_dim: int = 0
    mask: Tensor | None = None
    mean: bool = False

    def __post_init__(self) -> None:
        if self.bits not in WIDTHS:
            raise ConfigError(f"Weights are stored in {', '.join(map(str, WIDTHS))} bits; {self.bits!r:.80} came.")


@dataclass(frozen=True)
class Form:
    """What the bytes of one weight hold. ``bits`` are those that values take in the file."""

    shape: tuple[int, ...]
    out_dim: int
    bits: int
    sparse: bool
    mean: bool
    kept: int

    @property
    def entries(self) -> int:
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        return self.shape[self.out_dim]

    @property
    def bytes(self) -> int:
        values = self.kept if self.sparse else self.entries
        size = _scale_bytes(self.bits, self.channels) + _bytes(values * self.bits) + _bytes(self.entries * self.sparse)
        return int(size) + 4 * self.mean

    def to_json(self) -> dict[str, Any]:
        """As it stands in the header of a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any, origin: str) -> Form:
        """Check what a header says.

        Raises:
            NetworkError: a value is missing, of another type or out of range.
        """
        if not isinstance(data, Mapping) or set(data) != set(cls.__dataclass_fields__):
            raise NetworkError(f"{origin} must hold {', '.join(cls.__dataclass_fields__)}; {data!r:.80} came.")
        shape, out_dim, bits, kept = (data[key] for key in ("shape", "out_dim", "bits", "kept"))
        if not isinstance(shape, list) or not 0 < len(shape) <= MOST_DIMENSIONS or not all(map(_is_size, shape)):
            raise NetworkError(f"{origin}: 'shape' must be 1 to {MOST_DIMENSIONS} sizes; {shape!r:.80} came.")
        rules = (
            ("out_dim", type(out_dim) is int and 0 <= out_dim < len(shape), "a dimension"),
            ("bits", type(bits) is int and bits in WIDTHS, f"one of {WIDTHS}"),
            ("sparse", isinstance(data["sparse"], bool), "true or false"),
            ("mean", isinstance(data["mean"], bool), "true or false"),
            ("kept", type(kept) is int and 0 <= kept <= math.prod(shape), "a number of entries"),
            ("kept", data["sparse"] or kept == math.prod(shape), "all entries of what is dense"),
        )
        for key, fits, rule in rules:
            if not fits:
                raise NetworkError(f"{origin}: {key!r} must be {rule}; {data[key]!r:.80} came.")
        return cls(tuple(shape), out_dim, bits, data["sparse"], data["mean"], kept)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value <= LONGEST_DIMENSION


def _bytes(bits: Any) -> Any:
    return -(-bits // 8)


def _scale_bytes(bits: Any, channels: Any) -> Any:
    return 4 * channels * (bits < 32)


def sizes(entries: Any, kept: Any, bits: Any, channels: Any, mean: bool) -> tuple[tuple[Any, bool, Any], ...]:
    """Bits of values, whether sparse, and bytes of each way to store a weight; numbers or arrays.

    Values in few bits may be stored as the float32 that they stand for: of few values scales would take more. Dense
    float32 holds the mean wherever it stands, so never takes more than the weight as it was.
    """

    def bytes_of(width: Any, sparse: bool) -> Any:
        values = _bytes((kept if sparse else entries) * width)
        return _scale_bytes(width, channels) + values + _bytes(entries * sparse) + 4 * _has_mean(mean, width, sparse)

    return tuple((width, sparse, bytes_of(width, sparse)) for width in (bits, 32) for sparse in (False, True))


def _has_mean(mean: bool, width: Any, sparse: bool) -> Any:
    """Whether a form holds the mean apart from the values; widths are a number or an array."""
    return mean and ((width < 32) | sparse)


def treated(weight: Tensor, stored: Stored) -> Tensor:
    """What a reader gets of a weight: values that float32 holds, in the weight's type and shape (narrower types become
    float32); treated again it stays the same bit for bit.

    Raises:
        NetworkError: the weight is empty or not of finite floating-point numbers, or its mask does not fit.
        ConfigError: it has no dimension ``out_dim``.
    """
    values = _masked(weight, stored)
    if stored.bits < 32:
        values = dequantize(*_narrow(values, stored.bits, stored.out_dim), stored.out_dim)
    if stored.mask is not None and stored.mean:
        values = values.masked_fill(~stored.mask.to(values.device), mean_of_removed(weight, stored.mask))
    return values.to(torch.promote_types(weight.dtype, torch.float32))


def _masked(weight: Tensor, stored: Stored) -> Tensor:
    """float32, 0 where entries were removed."""
    values = weight.detach().float()
    if not weight.is_floating_point() or not weight.numel() or not bool(torch.isfinite(values).all()):
        raise NetworkError(
            f"What is stored in few bits or without some entries must be finite floating-point numbers; {weight.dtype} "
            f"{list(weight.shape)} came with others, or empty. Leave it out of the treatment."
        )
    if stored.mask is None:
        return values
    check_mask(weight, stored.mask)
    return values.masked_fill(~stored.mask.to(values.device), 0.0)


def _narrow(values: Tensor, bits: int, out_dim: int) -> tuple[Tensor, Tensor]:
    return halve(values, out_dim) if bits == 16 else quantize(values, bits, out_dim)


def pack(weight: Tensor, stored: Stored) -> tuple[Form, Tensor]:
    """The fewest bytes that hold :func:`treated` of a weight, and what they hold. Raises as it does."""
    values = _masked(weight, stored)
    mask = torch.ones_like(values, dtype=torch.bool) if stored.mask is None else stored.mask.to(values.device)
    form = _smallest(values, int(mask.sum()), stored)
    scales = None
    if form.bits < 32:
        values, scales = _narrow(values, stored.bits, stored.out_dim)
    else:
        values = treated(weight, stored).float()
    if not form.sparse and form.mean:
        values = values.masked_fill(~mask, _removed(form.bits))
    mean = [mean_of_removed(weight, mask)] if form.mean else []
    chosen = values[mask] if form.sparse else values.flatten()
    parts = (
        b"" if scales is None else scales.cpu().numpy().astype("<f4").tobytes(),
        np.array(mean, dtype="<f4").tobytes(),
        _value_bytes(chosen.cpu().numpy(), form.bits),
        np.packbits(mask.flatten().cpu().numpy()).tobytes() if form.sparse else b"",
    )
    return form, torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8)


def _smallest(values: Tensor, kept: int, stored: Stored) -> Form:
    out_dim = check_out_dim(values, stored.out_dim)
    ways = sizes(values.numel(), kept, stored.bits, values.shape[out_dim], stored.mean)
    width, sparse, _ = min(ways, key=lambda way: int(way[2]))
    mean = _has_mean(stored.mean, width, sparse)
    return Form(tuple(values.shape), out_dim, width, sparse, mean, kept if sparse else values.numel())


def _removed(bits: int) -> float:
    return math.nan if bits >= 16 else -largest_code(bits) - 1


def _value_bytes(values: Values, bits: int) -> bytes:
    if bits > 4:
        return values.astype(_TYPES[bits]).tobytes()
    halves = np.append(values, np.zeros(len(values) % 2, np.int8)).astype(np.uint8) & 0xF
    return (halves[::2] | halves[1::2] << 4).tobytes()


def unpack(packed: Tensor, form: Form, origin: str) -> Tensor:
    """The weight that bytes, uint8 [form.bytes], hold: float32 [form.shape].

    Raises:
        NetworkError: the bytes are not what the form says.
    """
    if packed.dtype != torch.uint8 or packed.shape != (form.bytes,):
        raise NetworkError(f"{origin} must have {form.bytes} bytes; {packed.dtype} {list(packed.shape)} came.")
    content: Bytes = packed.numpy()
    ends = np.cumsum([_scale_bytes(form.bits, form.channels), 4 * form.mean, form.bytes])
    scales, mean = (content[start:end].view("<f4") for start, end in ((0, ends[0]), (ends[0], ends[1])))
    rest = content[ends[1] :]
    cut = len(rest) - _bytes(form.entries) * form.sparse
    values = _values(rest[:cut], form, origin)
    removed = ~_mask(rest[cut:], form, origin) if form.sparse else _is_removed(values, form.bits)
    _check(values, scales, mean, form, origin)
    weight = _joined(values, scales, mean, removed, form)
    if not bool(torch.isfinite(weight).all()):
        raise NetworkError(f"{origin}: values times scales must be finite; some are not. Write the file again.")
    return weight


def _values(content: Bytes, form: Form, origin: str) -> Values:
    if form.bits > 4:
        return content.view(_TYPES[form.bits])
    halves = np.stack([content & 0xF, content >> 4], axis=1).flatten()
    count = form.kept if form.sparse else form.entries
    if halves[count:].any():
        raise NetworkError(f"{origin}: the bits behind the last value must be 0. Write the file again.")
    return ((halves[:count] ^ 8).astype(np.int8) - 8).astype(np.int8)


def _mask(content: Bytes, form: Form, origin: str) -> Mask:
    bits = np.unpackbits(content)
    if bits[form.entries :].any() or int(bits.sum()) != form.kept:
        raise NetworkError(f"{origin} must keep {form.kept} of {form.entries} entries; its bits say another number.")
    return bits[: form.entries].astype(np.bool_)


def _is_removed(values: Values, bits: int) -> Mask:
    marks: Mask = np.isnan(values) if bits >= 16 else np.equal(values, _removed(bits))
    return marks


def _check(values: Values, scales: Values, mean: Values, form: Form, origin: str) -> None:
    marks = _is_removed(values, form.bits)
    marked = bool(marks.any()) and (form.sparse or not form.mean)
    finite = np.isfinite(values[~marks]).all() and np.isfinite(scales).all() and np.isfinite(mean).all()
    if marked or not finite or not (scales > 0).all():
        raise NetworkError(f"{origin} must hold finite numbers and scales above 0; others came. Write the file again.")


def _joined(values: Values, scales: Values, mean: Values, removed: Mask, form: Form) -> Tensor:
    whole = np.zeros(form.entries, dtype=np.float32)
    whole[~removed] = values if form.sparse else values[~removed]
    weight = torch.from_numpy(whole).view(form.shape)
    if form.bits < 32:
        weight = dequantize(weight, torch.from_numpy(scales.astype(np.float32)), form.out_dim)
    return weight.masked_fill_(torch.from_numpy(removed).view(form.shape), float(mean[0])) if form.mean else weight
