"""Fragments of the token store: immutable Arrow files, each with the checksum of its own bytes in its name.

A row is a source: `content` (its digest), `written` (when), `tokens` (a list of rows of D numbers), `times` (a list of
the same length, or empty). A random number in the metadata keeps any two files from ever having the same name. Any
Arrow reader can read a fragment.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from chiasm.cohort.digests import DIGEST
from chiasm.store.files import StoreError, write_whole

KEY = DIGEST
PIECE_BYTES = 64 << 20  # of values in one record batch: what a writer holds in memory
NAME = re.compile(r"(\d{12})-([0-9a-f]{32})\.arrow")
CONTENT, WRITTEN, TOKENS, TIMES = "content", "written", "tokens", "times"


class Damaged(StoreError):
    """Error for a file that is not an intact fragment; the message continues after the file's name."""


@dataclass(frozen=True)
class Fragment:
    """Opened fragment: its sources in ascending order of content digest, and views of the memory map.

    Args:
        values: read-only `(N, D)` float32 matrix of each record batch.
        clocks: concatenated times of each record batch, float32.
        keys: `(n,)` digests of the sources, ascending and distinct.
        piece, start, length: `(n,)` where a source's tokens lie: `values[piece][start:start + length]`.
        clock: `(n,)` where its times begin in `clocks[piece]`; -1 for none.
        written: `(n,)` seconds since 1970.
    """

    path: Path
    size: int
    width: int
    slots: int
    values: tuple[NDArray[np.float32], ...]
    clocks: tuple[NDArray[np.float32], ...]
    keys: NDArray[Any]
    piece: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    clock: NDArray[np.int64]
    written: NDArray[np.int64]

    def tokens(self, row: int) -> NDArray[np.float32]:
        """Tokens of one source, (T, D)."""
        begin = self.start[row]
        values: NDArray[np.float32] = self.values[self.piece[row]][begin : begin + self.length[row]]
        return values

    def times(self, row: int) -> NDArray[np.float32] | None:
        """Times of one source's tokens, (T,) in hours; None if it has none."""
        begin = self.clock[row]
        return None if begin < 0 else self.clocks[self.piece[row]][begin : begin + self.length[row]]


def listing(folder: Path) -> list[str]:
    """List the fragment names in a folder, oldest first, as they stood at one moment."""
    # A folder may change while it is read, so that both a merged fragment and those it came from are missed.
    seen: list[str] | None = None
    while True:
        try:
            found = sorted(name for name in os.listdir(folder) if NAME.fullmatch(name))  # noqa: PTH208
        except FileNotFoundError:
            return []
        if found == seen:
            return found
        seen = found


def number_of(name: str) -> int:
    """Return a fragment's number, its place among the others."""
    return int(name.partition("-")[0])


def batches(
    width: int,
    keys: NDArray[Any],
    written: NDArray[np.int64],
    tokens: Iterable[NDArray[np.float32]],
    times: Iterable[NDArray[np.float32] | None],
) -> Iterator[Any]:
    """Yield record batches of at most about `PIECE_BYTES`, in the order given."""
    held: list[NDArray[np.float32]] = []
    clocks: list[NDArray[np.float32]] = []
    first, size, none = 0, 0, np.zeros(0, dtype=np.float32)
    for row, (value, time) in enumerate(zip(tokens, times, strict=True)):
        held.append(value)
        clocks.append(none if time is None else time)
        size += value.nbytes
        if size >= PIECE_BYTES or row == len(keys) - 1:
            yield _batch(width, keys[first : row + 1], written[first : row + 1], held, clocks)
            held, clocks, first, size = [], [], row + 1, 0


def _batch(width: int, keys: NDArray[Any], written: NDArray[np.int64], held: Any, clocks: Any) -> Any:
    flat = pa.array(np.concatenate(held).reshape(-1))
    rows = pa.FixedSizeListArray.from_arrays(flat, width)
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY.itemsize), len(keys), [None, pa.py_buffer(keys.tobytes())]),
        pa.array(written).cast(pa.timestamp("s", tz="UTC")),
        pa.LargeListArray.from_arrays(_offsets(held), rows),
        pa.LargeListArray.from_arrays(_offsets(clocks), pa.array(np.concatenate(clocks))),
    ]
    return pa.record_batch(columns, schema=_schema(width))


def _offsets(parts: Sequence[NDArray[np.float32]]) -> Any:
    return pa.array(np.cumsum([0, *map(len, parts)], dtype=np.int64))


def _schema(width: int, slots: int | None = None) -> Any:
    fields = [
        pa.field(CONTENT, pa.binary(KEY.itemsize)),
        pa.field(WRITTEN, pa.timestamp("s", tz="UTC")),
        pa.field(TOKENS, pa.large_list(pa.list_(pa.float32(), width))),
        pa.field(TIMES, pa.large_list(pa.float32())),
    ]
    return pa.schema(fields, metadata=None if slots is None else {"slots": str(slots), "unique": secrets.token_hex(8)})


def write_fragment(folder: Path, width: int, slots: int, content: Iterable[Any], number: int | None = None) -> Path:
    """Write a fragment of record batches, after the others or at place `number`; return its path."""

    def fill(sink: Any) -> None:
        with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), _schema(width, slots)) as writer:
            for batch in content:
                writer.write_batch(batch)

    def name(checksum: str) -> str:
        # Two writers may choose the same number: their checksums then decide who is first, for every reader alike.
        place = 1 + max(map(number_of, listing(folder)), default=0) if number is None else number
        return f"{place:012d}-{checksum[:32]}.arrow"

    return write_whole(folder, fill, name)


def check_sum(path: Path) -> None:
    """Verify a fragment's checksum, reading every byte.

    Raises:
        Damaged: the bytes are not those that were written.
        FileNotFoundError: it was merged or pruned meanwhile.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise
    except OSError:
        raise Damaged("cannot be read") from None
    if not path.stem.endswith(found[:32]):
        raise Damaged("does not have the checksum in its name")


def open_fragment(path: Path) -> Fragment:
    """Map a fragment and check its structure (magic, footer, schema, bounds of every source); values stay unread.

    Raises:
        Damaged: it is not an intact fragment.
        FileNotFoundError: it was merged or pruned meanwhile.
    """
    if path.is_symlink():
        raise Damaged("is a link, which is not followed")
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        return _fragment(path, reader)
    except FileNotFoundError:
        raise
    except Damaged:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Damaged("is truncated or damaged") from None


def _fragment(path: Path, reader: Any) -> Fragment:
    width = reader.schema.field(TOKENS).type.value_type.list_size
    slots = int((reader.schema.metadata or {})[b"slots"])
    if width < 1 or slots < 0 or not reader.schema.equals(_schema(width)):
        raise Damaged("has columns that a token store does not write")
    parts = [_columns(reader.get_batch(k), width, slots) for k in range(reader.num_record_batches)]
    keys, written, start, length, clock = (np.concatenate([part[k] for part in parts]) for k in range(5))
    piece = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    if (keys[1:] == keys[:-1]).any():
        raise Damaged("holds a source twice")
    return Fragment(
        path,
        path.stat().st_size,
        width,
        slots,
        tuple(part[5] for part in parts),
        tuple(part[6] for part in parts),
        keys,
        piece[order],
        start[order],
        length[order],
        clock[order],
        written[order],
    )


def _columns(batch: Any, width: int, slots: int) -> tuple[NDArray[Any], ...]:
    """Extract keys, written, start, length, clock, values and clocks of one record batch."""
    batch.validate()
    content, written, tokens, times = batch.columns
    if any(column.null_count or column.offset for column in batch.columns):
        raise Damaged("holds an empty cell")
    flat = tokens.values.values
    if flat.null_count or times.values.null_count or written.null_count:
        raise Damaged("holds an empty cell")
    starts, clock = _bounds(tokens, len(tokens.values)), _bounds(times, len(times.values))
    length, lasting = np.diff(starts), np.diff(clock)
    if (length < 1).any() or (slots and (length != slots).any()) or ((lasting != 0) & (lasting != length)).any():
        raise Damaged("holds a source of the wrong number of tokens")
    values = flat.to_numpy(zero_copy_only=True)[: len(tokens.values) * width].reshape(-1, width)
    keys = np.frombuffer(content.buffers()[1], dtype=KEY, count=len(content))
    seconds = written.cast(pa.int64()).to_numpy()
    begins = np.where(lasting > 0, clock[:-1], -1)
    return keys, seconds, starts[:-1], length, begins, values, times.values.to_numpy(zero_copy_only=True)


def _bounds(lists: Any, size: int) -> NDArray[np.int64]:
    offsets = np.asarray(lists.offsets.to_numpy(), dtype=np.int64)
    if offsets[0] < 0 or offsets[-1] > size or (np.diff(offsets) < 0).any():
        raise Damaged("holds a source that lies outside of it")
    return offsets
