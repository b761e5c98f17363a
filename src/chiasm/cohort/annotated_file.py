"""Read X, obs and var from an H5AD or H5MU file, within size limits and without following links out of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.grid import Note
from chiasm.cohort.hdf5_chunks import inflates_beyond
from chiasm.cohort.hdf5_heaps import has_damaged_heap
from chiasm.errors import Unsupported, count
from chiasm.limits import is_packed_nothing

ANNOTATED = re.compile(r"(?P<file>.*(?:\.h5ad|\.h5mu))(?::(?P<modality>[^:/\\]+))?", re.IGNORECASE | re.DOTALL)
UNNAMED = "obs_names"  # name of the index column where the file gives none
COLUMN_ENCODINGS = (
    "",
    "array",
    "string-array",
    "categorical",
    "nullable-integer",
    "nullable-boolean",
    "nullable-string-array",
)
PARTS = ("X", "obs", "var", "mod")
SPARSE = ("csr_matrix", "csc_matrix")
MOST_VALUES = 500_000_000
MOST_CHARACTERS = 200_000_000
MOST_STRINGS = 1_000_000
STRING_BYTES = 1_000_000_000  # in memory at once: a crafted file can name one long string many times over
DEEPEST = 3
AGAIN = "write it again with anndata 0.8 or later"


class AnnotatedError(ValueError):
    """Error for a file that is refused: `what` is wrong and the `fix`; neither quotes a path or a value."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix

    def __reduce__(self) -> tuple[type[AnnotatedError], tuple[str, str]]:
        return type(self), (self.what, self.fix)


@dataclass(frozen=True)
class Annotated:
    """Table, one row per observation: `index` names the identifier column, `features` those of X; the rest are obs."""

    frame: pd.DataFrame
    index: str
    features: tuple[str, ...]
    notes: tuple[Note, ...] = ()


def read_annotated(path: Path, modality: str | None) -> Annotated:
    """Read obs and X of an H5AD file or of one modality of an H5MU file; without a modality, obs alone of the latter.

    Layers, raw, obsm and uns are not read.

    Raises:
        AnnotatedError: the file is damaged, linked to another one, over a limit, or written by an old anndata.
        Unsupported: anndata is missing.
    """
    with opened(path, modality) as group:
        obs = _frame(group, "obs")
        index = str(obs.index.name) if obs.index.name not in (None, "_index") else UNNAMED
        identifiers = obs.index.astype(str)
        obs = obs.reset_index(drop=True)
        obs.columns = [str(name) for name in obs.columns]
        if index in obs.columns:
            obs = obs.drop(columns=index)
        for name in obs.columns[[isinstance(kind, pd.CategoricalDtype) for kind in obs.dtypes]]:
            obs[name] = obs[name].astype(object)
        obs.insert(0, index, identifiers)
        if "X" not in list(group):  # `in` alone would follow a link
            return Annotated(obs, index, ())
        features = names_of(group, "var")
        _require_distinct(obs.columns, features)
        values = matrix(group, MOST_VALUES, np.float64)
        if values.shape != (len(obs), len(features)):
            raise AnnotatedError("X has other rows or columns than obs and var", AGAIN)
    return Annotated(pd.concat([obs, pd.DataFrame(values, columns=features)], axis=1), index, tuple(features))


def _require_distinct(columns: pd.Index, features: list[str]) -> None:
    repeated = int(pd.Index(features).duplicated().sum())
    if repeated:
        raise AnnotatedError(f"{count(repeated, 'feature')} by a name that stands twice", "call var_names_make_unique")
    both = columns.intersection(features)
    if len(both):
        raise AnnotatedError(f"'{both[0]}' is a column of obs and a feature of var", "rename the column of obs")


@contextmanager
def opened(path: Path, modality: str | None = None) -> Iterator[Any]:
    """Open the group that holds X, obs and var; any failure inside becomes an AnnotatedError without the path."""
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise Unsupported('H5AD and H5MU files need anndata: pip install "chiasm[omics]"') from None
    try:
        if has_damaged_heap(path):
            raise ValueError
        with h5py.File(path, "r") as file:
            yield file if modality is None else _modality(file, modality)
    except (AnnotatedError, Unsupported):
        raise
    except Exception:  # messages of h5py and anndata quote paths and cells
        raise AnnotatedError("the file is not HDF5, or is damaged", AGAIN) from None


def shape_of(group: Any) -> tuple[int, int]:
    """Number of rows and columns of X, as stated in the header."""
    node = _child(group, "X")
    shape = node.shape if hasattr(node, "shape") else node.attrs["shape"]
    if len(shape) != 2 or min(int(length) for length in shape) < 0:
        raise AnnotatedError("X is not a matrix", AGAIN)
    return int(shape[0]), int(shape[1])


def unread(group: Any) -> list[str]:
    """List the parts that hold other versions of X (layers, raw), which are not read."""
    return [part for part in ("layers", "raw") if part in list(group) and len(_child(group, part))]


def matrix(group: Any, most: int, dtype: type[Any]) -> NDArray[Any]:
    """Read X as a dense array of `dtype`; refuse it before reading if it has more than `most` values."""
    node = _child(group, "X")
    rows, columns = shape_of(group)
    if rows * columns > most:
        raise AnnotatedError(
            f"X announces {rows * columns:,} values, over the limit of {most:,}", "keep fewer rows or fewer features"
        )
    _sound(node, most)
    if is_packed_nothing(rows * columns, np.dtype(dtype).itemsize, int(node.file.id.get_filesize())):
        raise AnnotatedError("X unpacks to far more than the file can hold, as no counts do", "check the file")
    encoding = _encoding(node)
    if encoding not in (*SPARSE, "array", "") or (encoding in SPARSE) == hasattr(node, "shape"):
        raise AnnotatedError("X is neither a dense matrix nor a sparse one", AGAIN)
    found = _anndata().io.read_elem(node)
    if found.dtype.kind not in "fiub":
        raise AnnotatedError("X does not hold numbers", AGAIN)
    if encoding in SPARSE:
        found.check_format(full_check=True)  # an index out of range would write outside the array
        found = found.astype(dtype).toarray()
    return np.asarray(found, dtype=dtype)


def names_of(group: Any, axis: str) -> list[str]:
    """Read the names of the observations (`obs`) or of the features (`var`)."""
    table = _child(group, axis)
    if not hasattr(table, "keys"):
        raise AnnotatedError(f"{axis} is in the format of an old anndata", AGAIN)
    node = _child(table, str(table.attrs["_index"]))
    _sound(node, MOST_VALUES)
    return [str(name) for name in np.asarray(_anndata().io.read_elem(node)).ravel().tolist()]


def _frame(group: Any, axis: str) -> pd.DataFrame:
    table = _child(group, axis)
    if not hasattr(table, "keys") or _encoding(table) != "dataframe":
        raise AnnotatedError(f"{axis} is in the format of an old anndata", AGAIN)
    for name in {str(table.attrs["_index"]), *(str(name) for name in table.attrs["column-order"])}:
        node = _child(table, name)
        if _encoding(node) not in COLUMN_ENCODINGS or "categories" in node.attrs:
            raise AnnotatedError(f"a column of {axis} is of a kind that is not read", f"leave it out, or {AGAIN}")
        _sound(node, MOST_VALUES)
    return pd.DataFrame(_anndata().io.read_elem(table))


def _modality(file: Any, modality: str) -> Any:
    known = _child(file, "mod")
    if modality not in list(known):
        raise AnnotatedError(f"the file has no modality '{modality}'", f"known are {', '.join(sorted(known))}")
    return _child(known, modality)


def _child(group: Any, name: str) -> Any:
    """Return a part of a group that is stored in this very file; links, which may lead out of it, are refused."""
    import h5py

    link = None if "/" in name or not hasattr(group, "get") else group.get(name, getlink=True)
    if link is None:
        raise AnnotatedError(f"the file holds no '{name}'" if name in PARTS else "the file is damaged", AGAIN)
    if not isinstance(link, h5py.HardLink):
        raise AnnotatedError("the file links to another place, which is not followed", "copy the data into the file")
    return group[name]


def _sound(node: Any, most: int, depth: int = 0) -> None:
    """Refuse data that is stored elsewhere, has an unsupported type, or would exceed `most` values when read."""
    import h5py

    if isinstance(node, h5py.Group):
        if depth == DEEPEST:
            raise AnnotatedError("the file is nested deeper than anndata writes", AGAIN)
        for name in node:
            _sound(_child(node, name), most, depth + 1)
        return
    if node.is_virtual or node.external:
        raise AnnotatedError(
            "the file keeps its data in another one, which is not followed", "copy the data into the file"
        )
    text = h5py.check_string_dtype(node.dtype)
    if node.dtype.kind not in "fiub" and text is None and h5py.check_enum_dtype(node.dtype) is None:
        raise AnnotatedError("the file holds values of a kind that is not read", AGAIN)
    if node.size is None or node.size > most or (node.chunks and int(np.prod(node.chunks, dtype=object)) > most):
        raise AnnotatedError(f"the file announces more than {most:,} values", "keep fewer rows or fewer features")
    if inflates_beyond(node):
        raise AnnotatedError("a chunk of the file unpacks to more than its shape announces", AGAIN)
    if text is not None:
        _sound_text(node)


def _sound_text(node: Any) -> None:
    if node.ndim != 1:
        raise AnnotatedError("the file holds values of a kind that is not read", AGAIN)
    if node.size > MOST_STRINGS:
        raise AnnotatedError(f"the file announces a column of more than {MOST_STRINGS:,} texts", "leave it out")
    step = max(1, min(4096, STRING_BYTES // node.file.id.get_filesize()))
    characters = 0
    for start in range(0, node.size, step):
        characters += sum(map(len, node[start : start + step]))
        if characters > MOST_CHARACTERS:
            raise AnnotatedError("the file holds more text than a table does", "leave the long columns out")


def _encoding(node: Any) -> str:
    return str(node.attrs.get("encoding-type", ""))


def _anndata() -> Any:
    try:
        import anndata  # type: ignore[import-untyped]
    except ImportError:
        raise Unsupported('H5AD and H5MU files need anndata: pip install "chiasm[omics]"') from None
    return anndata
