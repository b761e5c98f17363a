"""Read the files of a response, one an item: NumPy, text of numbers or MATLAB, recognised by their name's end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.cell_files import read_named
from chiasm.limits import RESPONSE_BYTES, RESPONSE_VALUES, is_packed_nothing
from chiasm.targets.channel_cells import Unread

Array = NDArray[np.float64]
NUMERIC = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
AS_V7 = "save it by save(..., '-v7'), or write the array as .npy"
ONE_EACH = "write one array a file, as .npy"
SEPARATORS = ",;\t "


def read_responses(folder: Path | None, cells: Sequence[object], variable: str) -> NDArray[np.object_]:
    """Read the array of every cell that is a path; arrays stay, and empty cells are None.

    Args:
        folder: what paths are relative to, and must not leave; None where whoever made the cohort gave them.
        variable: name of the array in a .mat file, "" where it holds one.

    Returns:
        (n,) objects: an array, None, or an `Unread` that says what is wrong with a file.
    """
    found = np.full(len(cells), None, dtype=object)
    seen: dict[str, object] = {}
    for place, cell in enumerate(cells):
        if not isinstance(cell, str | Path):
            found[place] = cell
            continue
        name = str(cell).strip()
        if name and name not in seen:
            seen[name] = read_named(folder, name, READERS, ONE_EACH, RESPONSE_BYTES, lambda file: _read(file, variable))
        found[place] = seen.get(name)
    return found


def _read(path: Path, variable: str) -> object:
    return READERS[path.suffix.lower()](path, variable)


def _of_numpy(path: Path, variable: str) -> object:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError):
        return Unread("names a .npy file that is damaged, or holds objects", "write it again, as numbers")
    if array.dtype.kind not in "biuf":
        return Unread("names a .npy file of something other than real numbers", "write it as float32 or float64")
    return _sized(array)


def _of_text(path: Path, variable: str) -> object:
    """Numbers with commas, semicolons, tabs or spaces between, a line a repetition; a single column is one of them."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        return Unread("names a .csv file that is no text", "write it as UTF-8")
    between = next((mark for mark in SEPARATORS if lines and mark in lines[0].strip()), None)
    rows = [line.strip().split(None if between == " " else between) for line in lines]
    if len({len(row) for row in rows}) > 1:
        return Unread("names a .csv file whose lines have different numbers of values", "a line holds every channel")
    try:
        array = np.array([[float(value) for value in row] for row in rows])
    except ValueError:
        return Unread("names a .csv file with something other than numbers", "write numbers alone, without a header")
    return _sized(array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array)


def _of_matlab(path: Path, variable: str) -> object:
    """One variable of a MATLAB file of version 4 to 7; a row or a column vector is one repetition."""
    from scipy.io import loadmat, whosmat  # type: ignore[import-untyped]

    try:
        held = {name: (shape, kind) for name, shape, kind in whosmat(path)}
    except NotImplementedError:
        return Unread("names a .mat file of version 7.3", AS_V7)
    except (ValueError, TypeError, KeyError, EOFError, OverflowError, MemoryError, IndexError):
        return Unread("names a .mat file that is damaged", AS_V7)
    if variable and variable not in held:
        return Unread(f"names a .mat file without the variable '{variable}'", f"it holds {_listed(held)}")
    if not variable and len(held) != 1:
        return Unread(f"names a .mat file of {len(held)} variables", f"name one as `variable`: {_listed(held)}")
    name = variable or next(iter(held))
    shape, kind = held[name]
    if kind not in NUMERIC:
        return Unread(f"names a .mat file whose '{name}' is of class {kind}", "save an array of numbers")
    values = int(np.prod(shape, dtype=np.float64))
    if values > RESPONSE_VALUES or is_packed_nothing(values, 8, path.stat().st_size):
        return Unread("names a .mat file that unpacks to more than it can hold", "save the array again")
    try:
        array = np.asarray(loadmat(path, variable_names=[name])[name])
    except (ValueError, TypeError, KeyError, EOFError, OverflowError, MemoryError, IndexError):
        return Unread("names a .mat file that is damaged", AS_V7)
    if array.dtype.kind not in "biuf" or array.shape != tuple(shape):
        return Unread(f"names a .mat file whose '{name}' is no array of real numbers", "save one of numbers")
    return _sized(array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array)


def _sized(array: NDArray[Any]) -> object:
    if array.size > RESPONSE_VALUES:
        return Unread(f"names a file of {array.size:,} values", f"{RESPONSE_VALUES:,} an item are read: take a region")
    return np.array(array, dtype=np.float64)


def _listed(names: Any) -> str:
    some = sorted(names)[:5]
    return ", ".join(f"'{name}'" for name in some) + (" ..." if len(names) > 5 else "") if some else "nothing"


READERS: dict[str, Callable[[Path, str], object]] = {
    ".npy": _of_numpy,
    ".csv": _of_text,
    ".txt": _of_text,
    ".mat": _of_matlab,
}
