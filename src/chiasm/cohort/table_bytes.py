"""Look through the bytes of a text table before it is parsed: what unpacks without end, or has no rows, is refused."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from chiasm.limits import (
    BLANK_BYTES,
    BOMB_BYTES,
    BOMB_CELLS,
    BOMB_RATIO,
    LINE_BYTES,
    MEGABYTE,
    PARQUET_BYTES,
    TABLE_BYTES,
    TABLE_ROWS,
    LimitError,
    is_swollen,
    require_regular,
)

BLOCK = MEGABYTE
SEPARATORS = (b",", b";", b"\t", b"|")


def require_bounded(path: Path, packed: bool) -> None:
    """Raise `LimitError` for a text table over a limit, in one pass with little memory.

    Refused are: a packed file that unpacks to much more than text does, a first line without end, megabytes of blank
    lines, and more bytes or rows than a table has.

    Args:
        packed: the file is packed by gzip.
    """
    size = require_regular(path, TABLE_BYTES)
    try:
        if packed:
            with gzip.open(path, "rb") as file:
                _look_through(file, size)
        else:
            with path.open("rb") as file:
                _look_through(file, None)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise LimitError("is damaged: it cannot be unpacked", "write the table again") from None


def _look_through(file: IO[bytes] | gzip.GzipFile, packed_size: int | None) -> None:
    seen = rows = cells = 0
    header_ended = False
    while block := file.read(BLOCK):
        seen += len(block)
        ended = max(block.count(b"\n"), block.count(b"\r"))
        rows += ended
        cells += ended + max(map(block.count, SEPARATORS)) if packed_size is not None else 0
        if packed_size is not None and is_swollen(2 * cells, packed_size):  # a cell becomes eight bytes
            raise LimitError(
                f"unpacks to cells of over {BOMB_RATIO} times its size, as no table does", "check the file"
            )
        header_ended = header_ended or b"\n" in block or b"\r" in block
        if packed_size is not None and seen > BOMB_BYTES and seen > BOMB_RATIO * packed_size:
            raise LimitError(f"unpacks to more than {BOMB_RATIO} times its size, as no table does", "check the file")
        if seen > TABLE_BYTES:
            raise LimitError(f"unpacks to over {TABLE_BYTES / MEGABYTE:,.0f} MB", "write it as Parquet, or in parts")
        if not header_ended and seen > LINE_BYTES:
            raise LimitError(f"has a first line of over {LINE_BYTES // MEGABYTE} MB", "write one row a line")
        if len(block) >= BLANK_BYTES and not block.strip(b"\r\n \0"):
            raise LimitError("holds a megabyte of blank lines", "take them away, or write the table again")
        if rows > TABLE_ROWS:
            raise LimitError(f"has over {TABLE_ROWS:,} rows", "write it as Parquet, or in parts")


def require_bounded_parquet(path: Path) -> None:
    """Raise `LimitError` for a Parquet file that announces more rows or cells than its bytes can hold.

    A run of one value takes a few bytes however long it is, so the size on disk bounds nothing by itself.
    """
    size = require_regular(path, TABLE_BYTES)
    try:
        found = pq.read_metadata(path)
        rows, columns = int(found.num_rows), int(found.num_columns)
    except (pa.ArrowException, ValueError, OSError):
        return  # told by who reads the schema
    if rows < 0:
        raise LimitError("announces less than no row", "write it again")
    if rows * columns > max(BOMB_CELLS, BOMB_RATIO * size):
        raise LimitError("announces more cells than its bytes can hold", "check the file")
    # Groups and the schema alone are asked: on a damaged column's statistics pyarrow ends the whole process.
    groups = [found.row_group(place) for place in range(found.num_row_groups)]
    most = max(PARQUET_BYTES, BOMB_RATIO * size)
    if sum(group.total_byte_size for group in groups) > most:
        raise LimitError(f"unpacks to more than {BOMB_RATIO} times its size, as no table does", "check the file")
    texts = [found.schema.column(place) for place in range(columns)]
    suspect = sorted({own.path for own in texts if own.physical_type == "BYTE_ARRAY"})
    # One long text to which many rows point takes a few bytes a row.
    if suspect and any(group.num_rows * group.total_byte_size > PARQUET_BYTES for group in groups):
        _require_text(path, suspect, most)


def _require_text(path: Path, columns: list[str], most: int) -> None:
    """Raise `LimitError` if the texts of a Parquet file are longer together than `most` bytes; each is kept once."""
    total = 0
    try:
        with pq.ParquetFile(path, read_dictionary=columns) as file:
            for group in range(file.num_row_groups):
                for column in columns:
                    for part in file.read_row_group(group, columns=[column], use_threads=False).itercolumns():
                        total += sum(_text_bytes(chunk) for chunk in part.chunks)
                        if total > most:
                            raise LimitError(
                                "holds more text than its bytes can: one long text for many rows", "check it"
                            )
    except (pa.ArrowException, UnicodeError, OSError, KeyError):
        return  # told by who reads the column


def _text_bytes(chunk: pa.Array) -> int:
    if pa.types.is_dictionary(chunk.type):
        lengths = pc.fill_null(pc.binary_length(chunk.dictionary), 0)
        counts = np.bincount(chunk.indices.drop_null().to_numpy(), minlength=len(lengths))
        return int(lengths.to_numpy().astype(np.int64) @ counts)
    return int(chunk.nbytes)
