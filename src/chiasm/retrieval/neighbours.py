"""Nearest-neighbour search among the rows of a matrix: exact, or through LanceDB's index if there are very many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from chiasm.cohort import Unsupported

Array = NDArray[np.float32]
EXACT_UP_TO = 200_000  # rows; a query of 384 columns takes 30 ms there
BLOCK = 1_024
AT_ONCE = 4_096  # rows whose cosines are summed at once
PROBES, REFINE = 64, 10  # partitions searched, and candidates compared exactly for each neighbour asked


class Neighbours:
    """Rows `(N, D)` that are searched by cosine distance `1 - cos`.

    Args:
        rows: float32, finite; a row of zeros is at distance 1 from every other.
        method: "exact", "index" (LanceDB, IVF-PQ, refined by exact distances), or "auto": exact up to 200,000 rows.

    Raises:
        ValueError: an unknown method, or values that are not finite.
        Unsupported: the index needs lancedb.
    """

    def __init__(self, rows: Array, method: str = "auto") -> None:
        if method not in ("auto", "exact", "index"):
            raise ValueError(f"method '{method}' is not known: choose auto, exact or index")
        if not np.isfinite(rows).all():
            raise ValueError("embeddings must be finite")
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        self.rows = np.ascontiguousarray(rows / np.maximum(norms, 1e-12), np.float32)
        self.method = method if method != "auto" else "exact" if len(rows) <= EXACT_UP_TO else "index"

    def nearest(self, queries: Array, k: int) -> tuple[NDArray[np.int_], Array]:
        """Find the k nearest rows of each query: row numbers and distances, `(Q, k)` each, nearest first.

        Ties go to the lower row number.

        Raises:
            ValueError: k is not between 1 and N, or the widths differ.
        """
        if not 1 <= k <= len(self.rows):
            raise ValueError(f"k = {k}: there are {len(self.rows):,} patients to choose from")
        if queries.ndim != 2 or queries.shape[1] != self.rows.shape[1]:
            raise ValueError(f"queries have shape {queries.shape}, the rows are {self.rows.shape[1]} wide")
        asked = np.asarray(queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12), np.float32)
        return self._exact(asked, k) if self.method == "exact" else self._indexed(asked, k)

    def _exact(self, queries: Array, k: int) -> tuple[NDArray[np.int_], Array]:
        numbers, distances = np.zeros((len(queries), k), int), np.zeros((len(queries), k), np.float32)
        # Rounding in a matrix product differs even between equal rows, so rows this close to the bound are compared
        # again.
        unsure = 2 * self.rows.shape[1] * float(np.finfo(np.float32).eps)
        for start in range(0, len(queries), BLOCK):
            distance = 1.0 - queries[start : start + BLOCK] @ self.rows.T
            bound = np.partition(distance, k - 1, axis=1)[:, k - 1 : k] + unsure
            for row, (own, most) in enumerate(zip(distance, bound, strict=True), start=start):
                close = np.flatnonzero(own <= most)  # in the order of rows, so that ties fall to the first ones
                exact = 1.0 - cosines(self.rows[close], queries[row])
                order = np.argsort(exact, kind="stable")[:k]
                numbers[row], distances[row] = close[order], exact[order]
        return numbers, distances

    def _indexed(self, queries: Array, k: int) -> tuple[NDArray[np.int_], Array]:
        numbers, distances = np.zeros((len(queries), k), int), np.zeros((len(queries), k), np.float32)
        with _lance_table(self.rows) as table:
            for row, query in enumerate(queries):
                search = table.search(query).distance_type("cosine").nprobes(PROBES).refine_factor(REFINE)
                found = search.limit(k).to_arrow()
                if len(found) < k:  # the partitions probed held fewer
                    numbers[row : row + 1], distances[row : row + 1] = self._exact(queries[row : row + 1], k)
                    continue
                numbers[row] = found["row"].to_numpy()
                distances[row] = 1.0 - cosines(self.rows[numbers[row]], query)
                order = np.lexsort((numbers[row], distances[row]))
                numbers[row], distances[row] = numbers[row][order], distances[row][order]
        return numbers, distances


def cosines(rows: Array, query: Array) -> NDArray[np.float64]:
    """Inner products `(n,)` of unit rows with a unit query; equal rows have equal ones, to the last bit.

    Each row is summed by itself: a matrix product sums in blocks, and a row's bits depend on the block it falls in.
    """
    wide = query.astype(np.float64)
    starts = range(0, len(rows), AT_ONCE)
    return np.concatenate([np.zeros(0), *((rows[at : at + AT_ONCE] * wide).sum(1) for at in starts)])


@contextmanager
def _lance_table(rows: Array) -> Iterator[Any]:
    """Open a LanceDB table with its vector index, in a folder that is deleted after the search."""
    try:
        import lancedb
        from lancedb.index import IvfPq
    except ImportError:
        raise Unsupported('the index of a large store needs lancedb: pip install "chiasm[store]"') from None
    with TemporaryDirectory(prefix="chiasm-index-") as place:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
        content = pa.table({"row": pa.array(np.arange(len(rows))), "vector": vectors})
        table = lancedb.connect(Path(place)).create_table("patients", content)
        partitions = max(1, min(1_024, int(np.sqrt(len(rows)))))
        subvectors = max(d for d in range(1, max(2, rows.shape[1] // 8 + 1)) if rows.shape[1] % d == 0)
        settings = IvfPq(distance_type="cosine", num_partitions=partitions, num_sub_vectors=subvectors)
        table.create_index("vector", config=settings)
        yield table
