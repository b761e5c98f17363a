"""Features of values that many patients share, as pairs share drugs and proteins: computed and kept once for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chiasm.cohort import Cohort
from chiasm.encoders.sharing import different_raw
from chiasm.encoders.table.scaling import Projection
from chiasm.linear.ridge_cox import Array
from chiasm.linear.shared_rows import Rows, SharedRows


def shared_features(cohort: Cohort, modality: str, features: Callable[[Any], Array]) -> Rows:
    """Compute features `(n, F)` of the patients who have the modality, each different value once."""
    raw, shared = different_raw(cohort, modality)
    return features(raw) if shared is None else SharedRows((features(raw),), (shared.index,))


def projected(values: Rows, components: int, *, alike: bool = False) -> Projection:
    """Fit principal components of columns `(n, F)`; a row that patients share counts once for each of them."""
    if not isinstance(values, SharedRows):
        return Projection.fit(values, components, alike=alike)
    (table,), (index,) = values.tables, values.index
    counts = np.bincount(index, minlength=len(table))
    return Projection.fit(table[counts > 0], components, alike=alike, counts=counts[counts > 0].astype(np.float64))
