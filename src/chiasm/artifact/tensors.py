"""Arrays of a safetensors file, read once through one handle: the header is checked in full before anything else is.

The format: eight bytes with the length of the header, little-endian; the header, JSON from names to `dtype`, `shape`
and `data_offsets`, with texts under `__metadata__`; the numbers, which the offsets cover without a gap or an overlap.
Source: https://github.com/huggingface/safetensors, "Format". The package's own reader opens a file by its path, a
second time, and maps it into memory, where it may change after it was hashed. We also refuse a name that stands twice,
and truth values that are neither 0 nor 1.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.artifact.opening import OpenFile
from chiasm.artifact.strict_json import JsonError, read_json
from chiasm.limits import HEADER_BYTES, TENSOR_SIDES, TENSORS, WEIGHTS_BYTES, LimitError, require_regular

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "C64": "complex64", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip
NOTES = "__metadata__"


@dataclass(frozen=True)
class Place:
    """Where an array lies in a file: from `start` to `end`, counted from the first byte after the header."""

    shape: tuple[int, ...]
    dtype: str
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """Places of the arrays, by name, texts beside them, and the header's own bytes."""

    places: Mapping[str, Place]
    notes: Mapping[str, str]
    raw: bytes


def read_header(file: OpenFile) -> Header:
    """Read the header of an open file, from its beginning, and check it against the size of the file.

    Raises:
        LimitError: the file is truncated or is no safetensors, or the header is larger than that of any model.
    """
    length = file.read(8)
    size = int.from_bytes(length, "little")
    if len(length) < 8 or size > min(HEADER_BYTES, file.size - 8):
        raise damaged()
    raw = file.read(size)
    if len(raw) < size or not raw.startswith(b"{"):
        raise damaged()
    if raw.count(b"{") > TENSORS + 2:
        raise LimitError(f"holds over {TENSORS:,} tensors", "copy it again")
    try:
        found = read_json(raw)
    except JsonError:
        raise damaged() from None
    notes = found.pop(NOTES, {})
    if not isinstance(notes, dict) or not all(isinstance(text, str) for text in notes.values()):
        raise damaged()
    places = {name: _place(own) for name, own in found.items()}
    end = 0
    for own in sorted(places.values(), key=lambda own: (own.start, own.end)):
        if own.start != end:
            raise damaged()
        end = own.end
    if file.size != 8 + size + end:
        raise damaged()
    return Header(places, notes, bytes(length + raw))


def read_arrays(file: OpenFile, header: Header) -> tuple[dict[str, np.ndarray], bytearray]:
    """Read the arrays; they look into the bytes after the header, which are returned beside them.

    Raises:
        LimitError: the file changed meanwhile, or holds truth values that are none.
    """
    body = file.read(file.size - len(header.raw))
    file.require_end(len(header.raw) + len(body))
    return {name: array_of(body, own) for name, own in header.places.items()}, body


def array_of(body: bytearray, place: Place, first: int = 0) -> np.ndarray:
    """Return the array at a place of the bytes that begin `first` bytes after the header.

    Raises:
        LimitError: it is of truth values that are neither 0 nor 1.
    """
    dtype, size = np.dtype(place.dtype), math.prod(place.shape)
    try:
        if not size:
            return np.zeros(place.shape, dtype)
        found = np.frombuffer(body, dtype.newbyteorder("<"), size, place.start - first).reshape(place.shape)
    except ValueError:  # no side, and another one that is beyond what NumPy counts
        raise damaged() from None
    if place.dtype == "bool" and (found.view(np.uint8) > 1).any():
        raise damaged()
    return found if found.flags.aligned and sys.byteorder == "little" else found.astype(dtype)


def damaged() -> LimitError:
    """The one answer to everything that is no safetensors file."""
    return LimitError("is truncated or is not safetensors", "copy it again")


def _place(own: Any) -> Place:
    if not isinstance(own, dict) or set(own) != {"dtype", "shape", "data_offsets"}:
        raise damaged()
    shape, offsets, kind = own["shape"], own["data_offsets"], own["dtype"]
    whole = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    if not whole or len(shape) > TENSOR_SIDES or not isinstance(kind, str) or kind not in DTYPES:
        raise damaged()
    if any(not isinstance(number, int) or isinstance(number, bool) or number < 0 for number in (*shape, *offsets)):
        raise damaged()
    start, end = offsets
    if end - start != math.prod(shape) * np.dtype(DTYPES[kind]).itemsize:
        raise damaged()
    return Place(tuple(shape), DTYPES[kind], start, end)


def require_header(path: Path) -> None:
    """Raise `LimitError` for a file of the user's own whose size, or whose header's, no safetensors file of them has.

    It may be a link, and of numbers that NumPy does not have: the package's own reader opens it next.
    """
    size = require_regular(path, WEIGHTS_BYTES)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(HEADER_BYTES, max(size - 8, 0)):
            raise damaged()
        if file.read(length).count(b"{") > TENSORS + 2:
            raise LimitError(f"holds over {TENSORS:,} tensors", "copy it again")
