"""Units that a split keeps together: a group, a site, or patients of identical content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.digests import DIGEST
from chiasm.errors import CohortError, error

Ints = NDArray[np.int_]


def units_of(cohort: Cohort, by: str | None, group_duplicates: bool) -> Ints | None:
    """(B,) number of the unit that a split keeps together; None if each patient is a unit of its own."""
    if by not in (None, "site"):
        raise ValueError(f"folds are drawn by patient or by 'site', not by '{by}'")
    keys: list[NDArray[Any]] = []
    if cohort.group is not None:
        keys.append(cohort.group)
    if by == "site":
        keys.append(sites_of(cohort))
    if group_duplicates:
        keys.append(content_keys(cohort))
    return components(keys, len(cohort)) if keys else None


def components(keys: Sequence[NDArray[Any]], n: int) -> Ints:
    """(n,) component number: rows that share a key, directly or transitively, get the same; empty keys do not count."""
    parent = list(range(n))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for column in keys:
        first: dict[Any, int] = {}
        for row, key in enumerate(column.tolist()):
            if key:
                a, b = root(first.setdefault(key, row)), root(row)
                parent[max(a, b)] = min(a, b)
    _, units = np.unique([root(row) for row in range(n)], return_inverse=True)
    return np.asarray(units, dtype=int)


def alone_where_empty(groups: NDArray[np.str_]) -> NDArray[np.str_]:
    """Give each patient without a group, "", a group of their own; (B,) labels."""
    return np.array([group or f"\0{row}" for row, group in enumerate(groups.tolist())], dtype=str)


def content_keys(cohort: Cohort) -> NDArray[np.bytes_]:
    """(B,) content key, equal for patients identical in every modality; empty for a patient without modalities."""
    digests = cohort.digests  # (B, M)
    size = digests.shape[1] * DIGEST.itemsize
    return digests.view(f"S{size}").reshape(-1) if size else np.zeros(len(cohort), dtype="S1")


def sites_of(cohort: Cohort) -> NDArray[np.str_]:
    if cohort.site is None:
        raise CohortError(
            [
                error(
                    "the cohort has no sites",
                    "name the column as `site` in [patients]",
                    path=cohort.path,
                    finding="no-sites",
                )
            ]
        )
    return cohort.site
