"""What stands beside the items of a pretraining: embeddings of a modality of text, and labels of the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.api.encoding import encode
from chiasm.cohort import Cohort, Unsupported
from chiasm.store.stored_tokens import StoredTokens

Floats = NDArray[np.float32]
READ_AT_ONCE = 256


def beside_of(
    cohort: Cohort, rows: NDArray[np.int_], text: str | None, labels: bool, jobs: int | None
) -> dict[str, Floats]:
    """Return what stands beside the patients `rows`, by name.

    Args:
        text: a modality whose encoder is frozen: "text" is the mean of a patient's tokens, `(n, E)`, NaN where the
            patient has none.
        labels: "labels" are the target's, `(n, L)`: one column a class or label, NaN where the outcome is not known.

    Raises:
        Unsupported: no such modality, one that no frozen encoder reads, or a target without labels.
    """
    found: dict[str, Floats] = {}
    if text is not None:
        found["text"] = _texts(cohort, rows, text, jobs)
    if labels:
        found["labels"] = _labels(cohort, rows)
    return found


def _texts(cohort: Cohort, rows: NDArray[np.int_], name: str, jobs: int | None) -> Floats:
    if name not in cohort.modalities:
        raise Unsupported(f"no modality '{name}' for text: there are {', '.join(cohort.modalities)}")
    encoded = encode(cohort.with_modalities([name]), jobs=jobs).cohort
    raw = encoded.raw(name)
    if not isinstance(raw, StoredTokens):
        raise Unsupported(f"modality '{name}' has no frozen encoder: name one, as encoder = \"minilm\"")
    place = np.full(len(cohort), -1)
    place[encoded.rows_of(name)] = np.arange(len(raw))
    found = np.full((len(rows), raw.width), np.nan, np.float32)
    here = np.flatnonzero(place[rows] >= 0)
    for start in range(0, len(here), READ_AT_ONCE):
        own = here[start : start + READ_AT_ONCE]
        values, mask = raw.batch(place[rows[own]])
        found[own] = values.sum(1) / mask.sum(1, keepdims=True)
    if not len(here):
        raise Unsupported(f"no patient who has the items has the text '{name}': bring texts, or another method")
    return found


def _labels(cohort: Cohort, rows: NDArray[np.int_]) -> Floats:
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None:
        raise Unsupported("the cohort has no target whose labels could be read: declare one, or another method")
    value = np.asarray(outcome.value, np.float64)
    if value.ndim == 1:
        if not target.has_classes:
            raise Unsupported(f"a target of kind '{target.kind}' has no labels: take another method")
        value = np.where(outcome.known[:, None], value[:, None] == np.arange(len(target.names)), np.nan)
    return np.asarray(value[rows], np.float32)
