"""Embeddings of patients: one vector each, from a modality's features or from a fitted model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import features_of
from chiasm.encoders.table.scaling import Projection
from chiasm.encoding.preparing import encode_for
from chiasm.protocols import Embeds

Array = NDArray[np.float32]
COMPONENTS = 128


def embed_modality(cohort: Cohort, modality: str) -> tuple[NDArray[np.int_], Array]:
    """Return the rows of the patients who have the modality, `(n,)`, and their vectors, `(n, D)` float32.

    The vectors are the features that linear models read of the modality, reduced to at most 128 principal components,
    and scaled on these patients without labels. The cohort must be encoded.
    """
    rows = cohort.rows_of(modality)
    if not len(rows):
        raise Unsupported(f"no patient has the modality '{modality}'")
    raw = cohort.raw(modality)
    values = features_of(cohort, modality).fit(raw, []).features(raw)
    return rows, np.asarray(Projection.fit(values, COMPONENTS)(values), np.float32)


def embed_model(model: Any, cohort: Cohort) -> tuple[NDArray[np.int_], Array]:
    """Return the rows of the patients who have a modality of the model, and what its head reads of each, `(n, D)`.

    Raises:
        Unsupported: the model has no embedding of all modalities, e.g. because it averages predictions.
    """
    embedding = model.predictor.embedding if isinstance(model.predictor, Embeds) else None
    if embedding is None:
        raise Unsupported(
            f"a model of recipe '{model.recipe}' puts predictions together and has no embedding: fit healnet or "
            "lego-fuse, or search by a modality"
        )
    cohort = encode_for(model, cohort).cohort
    cohort = cohort.with_modalities([name for name in cohort.modalities if name in model.modalities])
    rows = np.flatnonzero(cohort.present.any(1))
    return rows, np.asarray(embedding(cohort.subset(rows)), np.float32)
