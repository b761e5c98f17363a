"""Bags of tokens: one array of variable length per patient, read from disk on access."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.bag_files import RefusedBag, bag_shape, read_bag
from chiasm.errors import CohortError, Problem, Unsupported, count, error, first_rows

MOST_VALUES = 500_000_000  # per bag


def given_bags(given: Mapping[str, Any], modality: str, problems: list[Problem]) -> list[Path | NDArray[Any]]:
    """Return bags given in memory, each an array of numbers or the path of a file; others are added to `problems`."""
    found: list[Path | NDArray[Any]] = []
    wrong = []
    for row, own in enumerate(given.values(), 2):
        try:
            found.append(Path(own) if isinstance(own, str | os.PathLike) else _numbers(own))
        except (TypeError, ValueError):
            wrong.append(row)
    if wrong:
        what = f"what was given is neither an array of numbers nor a path in {count(len(wrong), 'row')}"
        fix = "give each patient a (tokens, width) array, or the path of a file that holds one"
        said = f"{what} ({first_rows(wrong)})"
        problems.append(error(said, fix, row=wrong[0], modality=modality, finding="unfit-kind"))
    return found


def _numbers(own: Any) -> NDArray[Any]:
    rows = list(own) if isinstance(own, list | tuple) else []
    masked = np.ma.isMaskedArray(own) or any(map(np.ma.isMaskedArray, rows))
    array: NDArray[Any] = np.ma.array(own) if masked else np.asarray(own)
    if not array.ndim or array.dtype.kind not in "biufO":
        raise ValueError("a single value is no bag, and neither is a text")
    if array.dtype.kind == "O" and any(isinstance(value, str | bytes) for value in array.ravel()):
        raise ValueError("a text is no number")
    if masked:
        return np.asarray(np.ma.filled(array.astype(np.float32), np.nan))
    return array if array.dtype.kind in "biuf" else np.asarray(array.tolist(), dtype=np.float32)


class Bags(Sequence[NDArray[np.float32]]):
    """Sequence of (T_i, D) float32 arrays; `items` are files (see `bag_files.py`) or arrays in memory.

    `template` is the path as the manifest writes it and `file_rows` each patient's row; both serve messages.
    """

    def __init__(
        self,
        items: Sequence[Path | NDArray[Any]],
        *,
        modality: str = "bag",
        template: str | None = None,
        file_rows: Sequence[int] | None = None,
    ) -> None:
        self._items = list(items)
        self._modality = modality
        self._template = template
        self._file_rows = file_rows

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, index: slice) -> Bags: ...
    def __getitem__(self, index: int | slice) -> NDArray[np.float32] | Bags:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        position = range(len(self))[index]
        item = self._items[position]
        try:
            array = read_bag(item) if isinstance(item, Path) else item
        except Exception as fault:  # damaged bytes raise anything: KeyError, zlib.error, SafetensorError
            raise self._error(position, fault) from None
        self._two_axes(position, array.shape)
        return np.asarray(array, dtype=np.float32)  # (T, D)

    def take(self, rows: NDArray[np.int_]) -> Bags:
        """Select some of the bags without reading them."""
        file_rows = None if self._file_rows is None else [self._file_rows[row] for row in rows]
        return Bags(
            [self._items[row] for row in rows], modality=self._modality, template=self._template, file_rows=file_rows
        )

    def file(self, position: int) -> Path | None:
        """Return the file of one bag; None of an array in memory."""
        item = self._items[position]
        return item if isinstance(item, Path) else None

    @cached_property
    def shapes(self) -> NDArray[np.int_]:
        """(n, 2) number of tokens and width of each bag, from the file headers alone."""
        return np.array([self.shape(i) for i in range(len(self))], dtype=int).reshape(-1, 2)

    def shape(self, position: int) -> tuple[int, int]:
        """Number of tokens and width of one bag, from its header alone; raises CohortError if the bag is unusable."""
        item = self._items[position]
        try:
            shape = bag_shape(item) if isinstance(item, Path) else item.shape
        except Exception as fault:  # damaged bytes raise anything: KeyError, zlib.error, SafetensorError
            raise self._error(position, fault) from None
        self._two_axes(position, shape)
        if not shape[0] or not shape[1]:
            raise self._problem(position, "the bag holds no token", "take the file away if the patient has none")
        if shape[0] * shape[1] > MOST_VALUES:
            what = f"the bag has {shape[0] * shape[1]:,} values, over the limit of {MOST_VALUES:,}"
            raise self._problem(position, what, "check the file, or keep fewer tokens")
        return int(shape[0]), int(shape[1])

    @property
    def lengths(self) -> NDArray[np.int_]:
        """(n,) number of tokens in each bag."""
        return self.shapes[:, 0]

    @property
    def width(self) -> int:
        """Width D shared by all bags, 0 if there are none. Raises CohortError if one differs."""
        widths = self.shapes[:, 1]
        odd = np.flatnonzero(widths != widths[:1])
        if odd.size:
            what = f"the bag is {widths[odd[0]]:,} wide, the first one {widths[0]:,}"
            raise self._problem(int(odd[0]), what, "encode all of them with the same encoder")
        return int(widths[0]) if len(widths) else 0

    def _two_axes(self, position: int, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            what = f"the bag has {len(shape)} axes in place of two (tokens, width)"
            raise self._problem(position, what, "write it as a matrix of tokens")

    def _error(self, position: int, fault: Exception) -> CohortError | Unsupported:
        if isinstance(fault, CohortError | Unsupported):
            return fault
        if isinstance(fault, RefusedBag):
            return self._problem(position, str(fault), fault.fix)
        return self._problem(position, "the file cannot be read", "write the bag again")

    def _problem(self, position: int, what: str, fix: str) -> CohortError:
        row = None if self._file_rows is None else int(self._file_rows[position])
        return CohortError(
            [error(what, fix, path=self._template, row=row, modality=self._modality, finding="broken-file")]
        )
