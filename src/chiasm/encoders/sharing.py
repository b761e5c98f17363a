"""Which patients share a value of a modality, as pairs share drugs and proteins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort
from chiasm.cohort.items import ValueSource

FROM_PATIENTS = 4_096  # with fewer, sharing saves too little to be looked for
MOST_DIFFERENT = 0.25  # share of the patients whose values may be different


@dataclass(frozen=True)
class Sharing:
    """Patients `rows` (n,) who have a modality, the first of those with each value `(U,)`, and their value `(n,)`."""

    rows: NDArray[np.int_]
    first: NDArray[np.int_]
    index: NDArray[np.int_]


def sharing(cohort: Cohort, modality: str) -> Sharing | None:
    """Find which patients share a value of the modality: a row of a joined table, or equal tokens; None if too few."""
    rows = cohort.rows_of(modality)
    if len(rows) < FROM_PATIENTS:
        return None
    source = cohort.sources[modality]
    keys = cohort.source_rows[modality][rows]
    different = source.digests(keys) if isinstance(source, ValueSource) else keys
    _, first, index = np.unique(different, return_index=True, return_inverse=True)
    return Sharing(rows, first, index.reshape(-1)) if len(first) <= MOST_DIFFERENT * len(rows) else None


def different_raw(cohort: Cohort, modality: str) -> tuple[Any, Sharing | None]:
    """Return the raw values of the patients who have the modality, or each different one once where they share them."""
    shared = sharing(cohort, modality)
    return (cohort.raw(modality) if shared is None else cohort.raw(modality, shared.rows[shared.first])), shared
