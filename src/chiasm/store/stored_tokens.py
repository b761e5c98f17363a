"""Stored tokens as a sequence of memory-mapped arrays, read when they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from chiasm.store.fragment import Fragment


class StoredTokens(Sequence[NDArray[np.float32]]):
    """Tokens of n sources: item i is a (T_i, D) float32 array, read-only, a view of the memory map.

    A pickled copy in another process finds its sources in the store again, even if fragments were merged since.

    Args:
        lengths: (n,) number of tokens of each source, at least 1.
        width: D; 0 if nothing is stored yet and nothing was asked for.
        slots: number of tokens of every source, if each position has a meaning of its own; 0 for bags.
    """

    lengths: NDArray[np.int_]
    width: int
    slots: int

    def __init__(
        self,
        origin: tuple[Callable[..., StoredTokens], Path, str],
        keys: NDArray[Any],
        fragments: Sequence[Fragment],
        fragment: NDArray[np.int64],
        row: NDArray[np.int64],
        width: int,
        slots: int,
    ) -> None:
        """Index sources: `keys[i]` is `row[i]` of `fragments[fragment[i]]`; `origin` reopens it in another process."""
        self._origin, self._keys = origin, keys
        self.width, self.slots = width, slots
        self._values: list[NDArray[np.float32]] = []
        self._clocks: list[NDArray[np.float32]] = []
        self._piece = np.zeros(len(keys), dtype=np.int32)
        self._start = np.zeros(len(keys), dtype=np.int64)
        timed = any((source.clock >= 0).any() for source in fragments)
        self._clock = np.full(len(keys), -1) if timed else None
        self.lengths = np.zeros(len(keys), dtype=np.int_)
        for number in np.unique(fragment):
            source, mine = fragments[number], np.flatnonzero(fragment == number)
            self._piece[mine] = source.piece[row[mine]] + len(self._values)
            self._start[mine] = source.start[row[mine]]
            if self._clock is not None:
                self._clock[mine] = source.clock[row[mine]]
            self.lengths[mine] = source.length[row[mine]]
            self._values += source.values
            self._clocks += source.clocks

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, i: int) -> NDArray[np.float32]: ...

    @overload
    def __getitem__(self, i: slice) -> StoredTokens: ...

    def __getitem__(self, i: int | slice) -> NDArray[np.float32] | StoredTokens:
        if isinstance(i, slice):
            return self.take(np.arange(len(self))[i])
        begin = self._start.item(i)
        return self._values[self._piece.item(i)][begin : begin + self.lengths.item(i)]

    @property
    def folder(self) -> Path:
        """Folder of the store."""
        return self._origin[1]

    @property
    def contents(self) -> list[str]:
        """Content digest of each source, 32 hex digits."""
        digits = self._keys.tobytes().hex()
        return [digits[start : start + 32] for start in range(0, len(digits), 32)]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for piece, start, end in self._places(np.arange(len(self))):
            yield self._values[piece][start:end]

    def times(self, i: int) -> NDArray[np.float32] | None:
        """(T_i,) float32 hours since the patient's first record; None where the encoder gave none."""
        begin = -1 if self._clock is None else self._clock.item(i)
        return None if begin < 0 else self._clocks[self._piece[i]][begin : begin + self.lengths[i]]

    def different(self) -> tuple[StoredTokens, NDArray[np.int_]]:
        """Return each different source once, and how many of these sources are equal to it."""
        _, first, counts = np.unique(self._keys, return_index=True, return_counts=True)
        order = np.argsort(first)
        return self.take(first[order]), counts[order]

    def take(self, rows: NDArray[np.int_] | Sequence[int]) -> StoredTokens:
        """Select some of the sources, in this order, without reading them."""
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(rows) == len(self) and np.array_equal(rows, np.arange(len(self))):
            return self
        taken = StoredTokens.__new__(StoredTokens)
        taken.__dict__.update(self.__dict__)
        for name in ("_keys", "_piece", "_start", "_clock", "lengths"):
            own = getattr(self, name)
            setattr(taken, name, None if own is None else own[rows])
        return taken

    def batch(self, rows: NDArray[np.int_] | Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return zero-padded float32 values `(b, T, D)` and mask `(b, T)`; T is `slots`, or the longest source here."""
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        lengths = self.lengths[rows]
        longest = self.slots or max(1, int(lengths.max(initial=0)))
        values = np.empty((len(rows), longest, self.width), dtype=np.float32)
        for k, (piece, start, end) in enumerate(self._places(rows)):
            values[k, : end - start] = self._values[piece][start:end]
            values[k, end - start :] = 0.0
        return values, np.arange(longest) < lengths[:, None]

    def _places(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
        """Iterate over piece, first token and end of each row."""
        start = self._start[rows]
        return zip(self._piece[rows].tolist(), start.tolist(), (start + self.lengths[rows]).tolist(), strict=True)

    def __reduce__(self) -> tuple[Callable[..., StoredTokens], tuple[Path, str, bytes]]:
        reopen, folder, encoder = self._origin
        return reopen, (folder, encoder, self._keys.tobytes())
