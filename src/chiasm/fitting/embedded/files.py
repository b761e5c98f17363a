"""Files of embeddings, one row a patient: .npy in the order of the patients' table, .npz with ids, tables by id."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, CohortError
from chiasm.cohort.identifiers import places_of, repeats
from chiasm.cohort.tables import Table
from chiasm.errors import count, error
from chiasm.fitting.embedded.vectors import Vectors
from chiasm.limits import TABLE_BYTES

IDS, VALUES = "ids", "embeddings"
KINDS = (".npy", ".npz", ".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
FIX = "write one row of numbers for each patient, with the identifiers of the patients' table"


@dataclass(frozen=True, eq=False)
class ReadVectors:
    """Vectors of a file, how many of its rows are of nobody in the cohort, and how many patients have no row."""

    vectors: Vectors
    strangers: int
    without: int


def read_vectors(path: Path | str, cohort: Cohort, name: str | None = None) -> ReadVectors:
    """Read a file of embeddings and match it to the patients of a cohort.

    `.npy` holds `(n, D)` numbers, a row for each patient in the order of the patients' table; `.npz` the arrays `ids`
    `(n,)`, text, and `embeddings` `(n, D)`; Parquet, CSV and TSV a column of identifiers, called as in the patients'
    table, `id` or `patient`, or else the first or the last one, and a column for each dimension. Nothing in it is
    executed.

    Args:
        name: what the vectors are called; the name of the file without its ending unless given.

    Raises:
        CohortError: the file is missing, of another kind, empty or not finite, names a patient twice, or names nobody
            of the cohort.
    """
    file = Path(path)
    kind = next((own for own in KINDS if file.name.lower().endswith(own)), "")
    if not kind:
        raise _refused(file, "is no file of embeddings", f"write it as one of {', '.join(KINDS)}")
    if not file.is_file():
        raise _refused(file, "there is no such file", "correct the path")
    if kind == ".npy":
        values, ids = _array(file), None
    elif kind == ".npz":
        values, ids = _archive(file)
    else:
        values, ids = _table(file, cohort)
    _require_numbers(file, values)
    if ids is None:
        if len(values) != len(cohort):
            what = f"holds {count(len(values), 'row')}, and the cohort {count(len(cohort), 'patient')}"
            raise _refused(file, what, "write an .npz with `ids` and `embeddings`, or a table with identifiers")
        places = np.argsort(cohort.order)
        found, strangers = values[places], 0
    else:
        twice = int(repeats(ids).sum())
        if twice:
            raise _refused(file, f"{count(twice, 'row')} repeat an identifier", "keep one row for each patient")
        places = places_of(cohort.ids, ids)
        strangers = int((places_of(ids, cohort.ids) < 0).sum())
        if (places < 0).all():
            raise _refused(file, "no identifier is that of a patient of the cohort", FIX)
        found = np.where((places >= 0)[:, None], values[np.maximum(places, 0)], np.float32(np.nan))
    called = name or file.name[: -len(kind)]
    return ReadVectors(Vectors(called, found), strangers, int((places < 0).sum()))


def _array(file: Path) -> NDArray[Any]:
    """Read a .npy; nothing of it is unpickled."""
    try:
        found: NDArray[Any] = np.load(file, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError, SyntaxError):
        raise _refused(file, "is no array of numbers", FIX) from None
    return found


def _archive(file: Path) -> tuple[NDArray[Any], NDArray[np.str_]]:
    """Read the two arrays of an .npz."""
    try:
        with zipfile.ZipFile(file) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > TABLE_BYTES:
            raise _refused(file, "unpacks to more than is read", "split it, or write it as Parquet")
        with np.load(file, allow_pickle=False) as held:
            both: Mapping[str, NDArray[Any]] = {name: held[name] for name in (IDS, VALUES) if name in held.files}
    except CohortError:
        raise
    except (ValueError, OSError, EOFError, SyntaxError, zipfile.BadZipFile, KeyError):
        raise _refused(file, "is no archive of arrays of text and numbers", FIX) from None
    if set(both) != {IDS, VALUES}:
        raise _refused(
            file, f"lacks an array '{IDS}' or '{VALUES}'", "save it by np.savez(file, ids=..., embeddings=...)"
        )
    ids, values = both[IDS], both[VALUES]
    if ids.ndim != 1 or ids.dtype.kind not in "iuSU" or len(ids) != len(values):
        raise _refused(file, f"'{IDS}' is no list of identifiers, one for each row of '{VALUES}'", FIX)
    return values, np.asarray([own.decode() if isinstance(own, bytes) else str(own) for own in ids.tolist()], dtype=str)


def _table(file: Path, cohort: Cohort) -> tuple[NDArray[Any], NDArray[np.str_]]:
    """Read a table: a column of identifiers, and numbers in all others; pandas writes an index as the last one."""
    table = Table(file.resolve(), file.name)
    table.inspect()
    columns = table.columns
    likely = [own for own in dict.fromkeys([table.key("id"), "patient", *columns[:1], *columns[-1:]]) if own in columns]
    texts = {own: np.asarray(table.texts(own), dtype=str) for own in likely}
    met = [own for own in likely if (places_of(cohort.ids, texts[own]) >= 0).any()]
    if not met:
        raise _refused(file, f"no identifier in '{columns[0]}' is that of a patient of the cohort", FIX)
    rest = [own for own in columns if own != met[0]]
    frame = table.frame(rest)
    words = sum(frame[own].dtype.kind not in "biuf" for own in rest)
    if words or not rest:
        what = f"{count(words, 'column')} beside '{met[0]}' {'holds' if words == 1 else 'hold'} no numbers"
        raise _refused(file, what if words else "holds no numbers", FIX)
    return frame.to_numpy(np.float32), texts[met[0]][: len(frame)]


def _require_numbers(file: Path, values: NDArray[Any]) -> None:
    if values.ndim != 2 or values.dtype.kind not in "fiub" or not values.shape[1]:
        raise _refused(file, "is no matrix of numbers with a row for each patient", FIX)
    if not len(values):
        raise _refused(file, "holds no row", FIX)
    with np.errstate(over="ignore"):  # what is too large for single precision is refused here
        wrong = int((~np.isfinite(np.asarray(values, np.float32)).all(axis=1)).sum())
    if wrong:
        what = f"{count(wrong, 'row')} of {len(values):,} hold a number that is not finite"
        raise _refused(file, what, "leave these patients out, or encode them again")


def _refused(file: Path, what: str, fix: str) -> CohortError:
    return CohortError([error(what, fix, path=file.name, finding="embeddings")])
