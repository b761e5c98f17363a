"""Search for the patients most similar to given ones, in a cohort that the user holds.

No model and no store holds the identity of a patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.retrieval.embed import embed_modality, embed_model
from chiasm.retrieval.neighbours import Neighbours


def similar(
    cohort: Cohort, patients: Sequence[str], by: str | Any, *, k: int = 10, method: str = "auto"
) -> pd.DataFrame:
    """Find the k nearest other patients of each given patient.

    Args:
        cohort: encoded cohort that holds the given patients and those to search among.
        patients: identifiers in the cohort.
        by: a modality, or a fitted model, whose embedding of all modalities is used.
        k: number of neighbours; fewer where there are not so many.
        method: "exact", "index" or "auto", as in `Neighbours`.

    Returns:
        One row per neighbour: `patient`, `rank` from 1, `neighbour`, `distance` (cosine, 0 to 2).

    Raises:
        Unsupported: a patient is not in the cohort, or lacks the modality; the message gives counts and no names.
    """
    rows, vectors = embed_modality(cohort, by) if isinstance(by, str) else embed_model(by, cohort)
    ids = cohort.ids[rows]
    wanted = [str(patient) for patient in patients]
    _require(wanted, cohort.ids, ids)
    places = pd.Index(ids).get_indexer(pd.Index(wanted))
    if len(rows) < 2:
        raise Unsupported("there is nobody to compare with: the cohort has one such patient")
    found, distances = Neighbours(vectors, method).nearest(vectors[places], min(k + 1, len(rows)))
    lines = []
    for patient, place, own, away in zip(patients, places, found, distances, strict=True):
        others = [(ids[row], float(gap)) for row, gap in zip(own, away, strict=True) if row != place][:k]
        lines += [(str(patient), rank, str(name), gap) for rank, (name, gap) in enumerate(others, start=1)]
    return pd.DataFrame(lines, columns=["patient", "rank", "neighbour", "distance"])


def require_patients(cohort: Cohort, patients: Sequence[str], by: str | Any) -> None:
    """Check, before anything is encoded, that the patients are in the cohort and have what is compared.

    Raises:
        Unsupported: as in `similar`.
        ValueError: the cohort has no such modality; the message names the nearest.
    """
    if isinstance(by, str):
        rows = cohort.rows_of(by)
    else:
        known = [name for name in cohort.modalities if name in by.modalities]
        rows = np.flatnonzero(cohort.with_modalities(known).present.any(1))
    _require([str(patient) for patient in patients], cohort.ids, cohort.ids[rows])


def _require(patients: Sequence[str], everybody: NDArray[np.str_], comparable: NDArray[np.str_]) -> None:
    strange = int((~np.isin(patients, everybody)).sum())
    lacking = int((~np.isin(patients, comparable)).sum()) - strange
    wrong = [f"{strange:,} {'is' if strange == 1 else 'are'} not in the cohort"] * (strange > 0)
    wrong += [f"{lacking:,} {'lacks' if lacking == 1 else 'lack'} what is compared"] * (lacking > 0)
    if wrong:
        fix = "give identifiers as the patients' table writes them, of patients who have it"
        raise Unsupported(f"of the patients asked for, {' and '.join(wrong)}: {fix}")
