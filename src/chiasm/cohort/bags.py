"""Bags: each patient's tokens, an array of its own length, read from disk when asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.errors import CohortError, Unsupported, error

BAG_SUFFIXES = (".npy", ".h5", ".hdf5")
H5_DATASET = "features"


class Bags(Sequence[NDArray[np.float32]]):
    """Item i is a (T_i, D) float32 array; `items` are files (.npy, .h5) or arrays in memory.

    `template` is the path as the manifest writes it and `file_rows` the row of each patient, for messages.
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
        except (ValueError, OSError, EOFError) as fault:
            raise self._error(position, fault) from None
        self._two_axes(position, array.shape)
        return np.asarray(array, dtype=np.float32)  # (T, D)

    def take(self, rows: NDArray[np.int_]) -> Bags:
        """Some of the bags, still unread."""
        file_rows = None if self._file_rows is None else [self._file_rows[row] for row in rows]
        return Bags(
            [self._items[row] for row in rows], modality=self._modality, template=self._template, file_rows=file_rows
        )

    @cached_property
    def shapes(self) -> NDArray[np.int_]:
        """(n, 2) tokens and width of each bag, from the files' headers alone."""
        return np.array([self.shape(i) for i in range(len(self))], dtype=int).reshape(-1, 2)

    def shape(self, position: int) -> tuple[int, int]:
        """Tokens and width of one bag, from the file's header alone; raises CohortError where it cannot be read."""
        item = self._items[position]
        try:
            shape = bag_shape(item) if isinstance(item, Path) else item.shape
        except (ValueError, OSError, EOFError) as fault:
            raise self._error(position, fault) from None
        self._two_axes(position, shape)
        return int(shape[0]), int(shape[1])

    @property
    def lengths(self) -> NDArray[np.int_]:
        """(n,) tokens of each bag."""
        return self.shapes[:, 0]

    @property
    def width(self) -> int:
        """The width D that all bags share; 0 for no bags. Raises CohortError where one differs."""
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
        refused = str(fault) if isinstance(fault, _Refused) else "the file cannot be read"
        return self._problem(position, refused, "write the bag again")

    def _problem(self, position: int, what: str, fix: str) -> CohortError:
        row = None if self._file_rows is None else int(self._file_rows[position])
        return CohortError([error(what, fix, path=self._template, row=row, modality=self._modality)])


class _Refused(ValueError):
    """A file that is well formed and still not read; the message names no path."""


def read_bag(path: Path) -> NDArray[np.float32]:
    """The (T, D) array of one file. Pickled objects and links to other files are refused."""
    if path.suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    with _h5py().File(path, "r") as file:
        return np.asarray(_only_dataset(file)[()], dtype=np.float32)


def bag_shape(path: Path) -> tuple[int, ...]:
    """The shape of one file's array, from its header."""
    if path.suffix == ".npy":
        return tuple(np.load(path, mmap_mode="r", allow_pickle=False).shape)
    with _h5py().File(path, "r") as file:
        return tuple(_only_dataset(file).shape)


def _h5py() -> Any:
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise Unsupported('bags in .h5 files need h5py: pip install "chiasm[bags]"') from None
    return h5py


def _only_dataset(file: Any) -> Any:
    """The dataset `features`, or the only one there is."""
    h5py = _h5py()
    found: list[Any] = []

    def walk(group: Any) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _Refused("the file links to another file, which is not followed")
            if isinstance(link, h5py.SoftLink):
                continue
            node = group[name]
            if isinstance(node, h5py.Group):
                walk(node)
            elif isinstance(node, h5py.Dataset):
                found.append(node)

    walk(file)
    named = [node for node in found if node.name == f"/{H5_DATASET}"]
    if not named and len(found) != 1:
        raise _Refused(f"the file holds {len(found)} datasets and none of them is '{H5_DATASET}'")
    dataset = (named or found)[0]
    if dataset.is_virtual or dataset.external:
        raise _Refused("the file keeps its data in another file, which is not followed")
    return dataset
