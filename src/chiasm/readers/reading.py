"""Interface of readers: the decoded values with their units, size limits, and an error that names no patient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.limits import BOMB_RATIO, BOMB_VALUES, SCAN_RATIO, is_packed_nothing

Floats = NDArray[np.float32]
GIGABYTE = 1 << 30


class ReadError(ValueError):
    """Error for a source that is not read: `what` is wrong with it, and the `fix`.

    Neither names a path, an identifier or a value: whoever collects the error knows the row and the file's template.
    """

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix

    def __reduce__(self) -> tuple[type[ReadError], tuple[str, str]]:
        return type(self), (self.what, self.fix)


@dataclass(frozen=True)
class Limits:
    """Limits on a source to decode; what a header announces is checked against them before anything is allocated.

    Args:
        bytes: size of the file (all files of a folder) on disk.
        values: number of values after decoding, channels and frames included.
        characters: length of a text or a sequence, or number of events in a record.
    """

    bytes: int = 4 * GIGABYTE
    values: int = 500_000_000
    characters: int = 1_000_000


LIMITS = Limits()


@dataclass(frozen=True)
class Image:
    """Image: `values` `(C, H, W)` float32 in the file's units; `channels` (C,) names; `spacing` mm a pixel, or None."""

    values: Floats
    channels: tuple[str, ...]
    spacing: tuple[float, float] | None = None


@dataclass(frozen=True)
class Volume:
    """Volume: `values` `(C, D, H, W)` float32, slices first to last; `spacing` mm along D, H, W; `unit` HU or ""."""

    values: Floats
    channels: tuple[str, ...]
    spacing: tuple[float, float, float]
    unit: str = ""


@dataclass(frozen=True)
class Signal:
    """Signal: `values` `(L, T)` float32 at `hz` samples a second, one lead per row; `units` (L,), `mV` for an ECG."""

    values: Floats
    leads: tuple[str, ...]
    hz: float
    units: tuple[str, ...] = ()


@runtime_checkable
class Decoded(Protocol):
    """What was decoded into an array: `values` of an image, a volume, a signal, a record or cells."""

    @property
    def values(self) -> Floats: ...


class Tiled(Protocol):
    """Slide whose tissue is read tile by tile; `micrometres` is the size of a pixel of the tiles."""

    @property
    def micrometres(self) -> float: ...

    def tiles(self) -> Iterator[tuple[NDArray[np.uint8], tuple[int, int]]]:
        """Yield the tissue tiles, `(h, w, 3)` RGB and (row, column) in the grid, from top left to bottom right."""


@dataclass(frozen=True)
class Events:
    """A patient's record: `hours` (n,) float64 ascending, `codes` (n,) text, `values` (n,) float32, NaN where none.

    `left_out` says how many parts of the source gave no event, by reason.
    """

    hours: NDArray[np.float64]
    codes: NDArray[np.str_]
    values: Floats
    left_out: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Cells:
    """Single cells of one patient: `values` `(cells, genes)` float32, and the names of the `genes`."""

    values: Floats
    genes: tuple[str, ...]


# What a reader is given: a file (or folder, or record), a cell of a table, or the rows of a table of events.
Item = Path | str | pd.DataFrame


class Reader(Protocol):
    """Reader of one kind of source. Molecules, proteins, DNA and notes are read as text, which is checked.

    `version` is part of the key under which tokens are stored: it changes whenever the values returned do. A reader may
    have `accepts`, earlier versions that differ from it in rare files alone: a model fitted with one still predicts.
    """

    kind: str
    version: str

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Return notes for the user from the header alone, such as a burned-in flag or private tags; () if none.

        Raises:
            ReadError: the source cannot be read, or lies over a limit.
            Unsupported: a package is missing; the message names its pip command.
        """

    def read(self, item: Item, limits: Limits = LIMITS) -> Any:
        """Decode the source. Raises as `inspect` does."""


@runtime_checkable
class Refuses(Protocol):
    """Protocol of an encoder that tells, without encoding, that it would refuse a value; a check asks it too."""

    def require(self, value: Any) -> None:
        """Raise `ReadError` of a value that `encode` would refuse."""


def require_of(encoder: Any, value: Any) -> None:
    """Raise what an encoder says of a value before it encodes it; nothing if it has no such say, or is None."""
    if isinstance(encoder, Refuses):
        encoder.require(value)


@runtime_checkable
class NotesWhatIsEncoded(Protocol):
    """Protocol of an encoder that tells what of a value it reads as something else; a check says it too."""

    def notes(self, value: Any) -> tuple[str, ...]:
        """Return the notes of a value that `encode` would not refuse."""


@runtime_checkable
class NotesWhatWasRead(Protocol):
    """Protocol of a reader that tells what `inspect` would note of what it has read, so that nothing is read twice."""

    def notes(self, item: Item, read: Any) -> tuple[str, ...]:
        """Return the notes of a source that was read already."""


@runtime_checkable
class AcceptsEarlier(Protocol):
    """Protocol of a reader with earlier versions, `accepts`, that differ from its own in rare files alone."""

    accepts: tuple[str, ...]


def check_size(path: Path, limits: Limits) -> None:
    """Refuse a file or folder that is larger on disk than `limits.bytes`, or that holds nothing."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
    size = sum(file.stat().st_size for file in files)
    if not size:
        raise ReadError("the file is empty", "write it again, or take it away if the patient has none")
    if size > limits.bytes:
        raise ReadError(
            f"the file has {size / GIGABYTE:,.1f} GB, over the limit of {limits.bytes / GIGABYTE:,.1f} GB",
            "reduce it, or encode it elsewhere and bring the features as a bag",
        )


def check_values(shape: tuple[int, ...], limits: Limits, fix: str = "check the file, or reduce its resolution") -> None:
    """Refuse a source that would decode to more values than `limits.values`, and say the `fix`, or to none."""
    size = 1
    for length in shape:
        size *= int(length)
    if size <= 0 or min(shape, default=0) <= 0:
        raise ReadError("the header announces nothing to read", "write the file again")
    if size > limits.values:
        raise ReadError(
            f"the header announces {size:,} values, over the limit of {limits.values:,}",
            fix,
        )


def check_packed(shape: tuple[int, ...], itemsize: int, stored: int, most: int = BOMB_VALUES) -> None:
    """Refuse what would decode to over `most` values and to more than 500 times its size on disk, as no scan does.

    So is what takes over 512 MB in memory and over 200 times its size.

    Args:
        shape: of the values, which `check_values` holds against the limits.
        itemsize: bytes of a value as it is stored, before it is packed.
        stored: bytes on disk.
        most: how many values are read whatever they are packed to.
    """
    size = math.prod(map(int, shape))
    if is_packed_nothing(size, itemsize, stored, most):
        times = SCAN_RATIO if size * itemsize > SCAN_RATIO * stored else BOMB_RATIO
        raise ReadError(
            f"the file would unpack to {size:,} values, over {times} times its size, as no scan does",
            "check the file, which holds almost nothing; if that is right, crop it",
        )
