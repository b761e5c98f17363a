"""One file, read by chiasm and by a reference library: equal, refused with a reason, or different."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.cohort import Unsupported
from chiasm.readers import ReadError, reader_for

EQUAL, REFUSED, DIFFERENT = "equal", "refused", "different"
Found = Mapping[str, Any]  # what is compared: an attribute of what chiasm returns ("" for the whole), and its value


@dataclass(frozen=True)
class Case:
    """A file of a format, and what the reference library reads of it.

    Args:
        format: the row of the table.
        name: the package and the place in it, or the properties with which the reference library wrote the file.
        kind: of the modality.
        item: what the reader is given.
        reference: reads it by the reference library alone.
        tolerance: relative difference that counts as equal; 0 is equal to the bit of float32.
        convention: what of chiasm's documented conventions was applied to what the reference library returns.
    """

    format: str
    name: str
    kind: str
    item: Any
    reference: Callable[[], Found]
    tolerance: float = 0.0
    convention: str = ""


@dataclass
class Row:
    """A line of the results; `readable` says of a refused file whether the reference library reads it."""

    format: str
    name: str
    result: str
    why: str = ""
    tolerance: float | None = None
    convention: str = ""
    readable: bool | None = None


def compare(case: Case) -> Row:
    """Read one file twice."""
    row = Row(case.format, case.name, EQUAL, "", case.tolerance or None, case.convention)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            own = reader_for(case.kind).read(case.item)
        except (ReadError, Unsupported) as refused:
            row.result, row.why = REFUSED, str(refused)
            row.readable = isinstance(_attempt(case.reference), dict)
            return row
        expected = _attempt(case.reference)
    if isinstance(expected, Exception):
        row.result, row.why = DIFFERENT, f"the reference library does not read it: {type(expected).__name__}"
        return row
    apart = [what for what, value in expected.items() if not _same(_part(own, what), value, case.tolerance)]
    if apart:
        row.result, row.why = DIFFERENT, ", ".join(apart)
    return row


def files_below(folder: Path, *suffixes: str) -> Iterator[tuple[str, Path]]:
    """Yield each file below a folder whose name ends so, with its place from the folder's parent on."""
    for path in sorted(folder.rglob("*")):
        if path.name.lower().endswith(suffixes) and path.is_file():
            yield path.relative_to(folder.parent).as_posix(), path


def _attempt(reference: Callable[[], Found]) -> Found | Exception:
    try:
        return dict(reference())
    except Exception as fault:  # of whatever kind: the reference library refuses the file
        return fault


def _part(own: Any, what: str) -> Any:
    return getattr(own, what) if what else own


def _same(own: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, np.ndarray) and expected.dtype.kind in "biuf":
        with np.errstate(over="ignore"):
            wanted = expected.astype(np.asarray(own).dtype)
        if np.shape(own) != wanted.shape:
            return False
        if tolerance:
            return np.allclose(own, wanted, rtol=tolerance, atol=tolerance * _height(wanted), equal_nan=True)
        return np.array_equal(own, wanted, equal_nan=wanted.dtype.kind == "f")
    if isinstance(expected, np.ndarray):
        return np.asarray(own).tolist() == expected.tolist()
    if isinstance(expected, tuple) and expected and all(isinstance(part, float) for part in expected):
        return own is not None and np.allclose(own, expected, rtol=1e-6, atol=0)
    return bool(own == expected)


def _height(values: np.ndarray) -> float:
    known = np.abs(values[np.isfinite(values)])
    return float(known.max(initial=0.0))
