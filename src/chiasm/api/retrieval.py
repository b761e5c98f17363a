"""Public functions to retrieve similar patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from chiasm.api.encoding import encode, encode_for
from chiasm.cohort.opened import Given, as_cohort
from chiasm.models.similar_patients import kept_groups
from chiasm.models.similar_patients import similar_in_training as of_groups
from chiasm.protocols import Model
from chiasm.retrieval import require_patients, retrieval_scores
from chiasm.retrieval import similar as nearest_patients


def similar(
    cohort: Given,
    patients: Iterable[str],
    by: str | Model,
    *,
    k: int = 10,
    method: str = "auto",
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Find the k nearest other patients of the cohort for each of these: patient, rank, neighbour, distance.

    Args:
        cohort: the cohort of query patients and neighbours, or the path of its manifest; encoded first if it is
            not yet.
        patients: identifiers of the query patients.
        by: a modality, or a fitted model, whose embedding of all modalities is compared.
        method: "exact", "index" (LanceDB), or "auto": the index above 200,000 patients.
        progress: called with (modality, finished, all) sources.

    Raises:
        Unsupported: a patient is not in the cohort or lacks what is compared, or the model has no embedding.
    """
    chosen, whole = list(patients), as_cohort(cohort)
    require_patients(whole, chosen, by)
    if isinstance(by, str):
        found = encode(whole.with_modalities([by]), progress=progress)
    else:
        found = encode_for(by, whole, progress=progress)
    return nearest_patients(found.cohort, chosen, by, k=k, method=method)


def similar_in_training(model: Model, cohort: Given) -> pd.DataFrame:
    """Say which training patients each patient is like: a group of them that the model keeps, never one of them.

    Args:
        model: fitted with `keep_similar`.
        cohort: patients, or the path of a manifest.

    Returns:
        One row for each patient who has a modality of the model, indexed by identifier: `alike` (False: farther than
        nineteen in twenty training patients from their own group), `patients` ("20 or more"), and the outcome of the
        group in bands, one column for each output of the model; None where the patient is like nobody.

    Raises:
        Unsupported: the model keeps no groups.
    """
    kept_groups(model)
    return of_groups(model, encode_for(model, as_cohort(cohort)).cohort)


def score_similar(
    cohort: Given, by: str | Model, *, seed: int = 0, progress: Callable[[str, int, int], None] | None = None
) -> pd.DataFrame:
    """Score how often a patient's nearest neighbours share its class: see `chiasm.retrieval.retrieval_scores`."""
    whole = as_cohort(cohort)
    if isinstance(by, str):
        found = encode(whole.with_modalities([by]), progress=progress)
    else:
        found = encode_for(by, whole, progress=progress)
    return retrieval_scores(found.cohort, by, seed=seed)
