"""Reader of one patient's single cells, from an H5AD file, as a matrix of counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from chiasm.cohort.annotated_file import AnnotatedError, matrix, names_of, opened, shape_of, unread
from chiasm.readers.reading import LIMITS, Cells, Item, Limits, ReadError, check_size, check_values

SUFFIX = ".h5ad"
MOST_FRACTIONS = 0.5  # of the values above zero; ambient RNA correction leaves some, logarithms nearly all


class CellReader:
    """Reader of the raw counts of a patient's cells: X of an H5AD file, `(cells, genes)` float32, dense.

    Layers, raw, obs and everything else in the file are not read. X must hold counts: encoders normalise them.
    """

    kind = "singlecell"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Note if the file holds layers or raw, which are not read."""
        path = _file(item, limits)
        with _translated(), opened(path) as file:
            shape = shape_of(file)
            others = unread(file)
        check_values(shape, limits)
        return (f"the file holds {' and '.join(others)}; X alone is read",) if others else ()

    def read(self, item: Item, limits: Limits = LIMITS) -> Cells:
        """Read the cells.

        Raises:
            ReadError: damaged, linked to another file, over a limit, negative or not finite, values that are not
                counts, a gene name that appears twice.
            Unsupported: anndata is missing.
        """
        path = _file(item, limits)
        with _translated(), opened(path) as file:
            shape = shape_of(file)
        check_values(shape, limits)
        with _translated(), opened(path) as file:
            values = matrix(file, limits.values, np.float32)  # (cells, genes)
            genes = tuple(names_of(file, "var"))
        if values.shape != (shape[0], len(genes)):
            raise ReadError("X has other columns than var has genes", "write the file again with anndata")
        twice = len(genes) - len(set(genes))
        if twice:
            raise ReadError(
                f"{twice:,} genes by a name that stands twice", "call var_names_make_unique and write again"
            )
        if not np.isfinite(values).all() or values.min() < 0:
            raise ReadError("X holds values that are negative or not finite", "write raw counts into X")
        positive = values[values > 0]
        if positive.size and np.mean(positive != np.round(positive)) > MOST_FRACTIONS:
            raise ReadError("X does not hold counts", "write raw counts into X: they are normalised by the encoder")
        return Cells(values, genes)


def _file(item: Item, limits: Limits) -> Path:
    if not isinstance(item, Path) or not item.is_file() or item.suffix.lower() != SUFFIX:
        raise ReadError("single cells are read from an H5AD file", "write the counts of a patient as one .h5ad file")
    check_size(item, limits)
    return item


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except AnnotatedError as fault:
        raise ReadError(fault.what, fault.fix) from None
