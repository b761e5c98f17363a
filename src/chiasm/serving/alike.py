"""Whom a patient of a request is like in training: the group that the model keeps, in bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.cohort import Cohort
from chiasm.fitting.similar_groups import NOT_KEPT
from chiasm.protocols import Embeds
from chiasm.serving.answers import Answer, each_ready
from chiasm.serving.faults import refused
from chiasm.serving.loaded import Loaded
from chiasm.serving.patients import Patient

NOBODY = "farther than 95 of 100 training patients from the nearest group: like nobody in training"
NOTHING_KNOWN = "nothing is known of the patient, who is like nobody in particular"


def require_keeps(loaded: Loaded) -> None:
    """Refuse a model that keeps no groups of training patients.

    Raises:
        Refused: 422.
    """
    if loaded.model.similar is None:
        raise refused(422, "not-kept", NOT_KEPT)


def alike(loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path], scratch: Path) -> list[Answer]:
    """Find the group that each patient is like, or say why not."""
    return each_ready(partial(_alike, loaded), loaded, patients, sources, scratch)


def _alike(loaded: Loaded, cohort: Cohort, patients: Sequence[Patient]) -> list[dict[str, Any]]:
    kept, predictor = loaded.model.similar, loaded.model.predictor
    embedding = predictor.embedding if isinstance(predictor, Embeds) else None
    assert kept is not None and embedding is not None  # `require_keeps` refused otherwise
    cohort = cohort.with_modalities([name for name in cohort.modalities if name in loaded.model.modalities])
    there = np.flatnonzero(cohort.present.any(1))
    told: dict[int, dict[str, Any]] = {}
    if len(there):
        told = dict(zip(there.tolist(), kept.nearest(embedding(cohort.subset(there))), strict=True))
    nobody = {"alike": False, "patients": f"{kept.least:,} or more", "outcome": None}
    found = []
    for k, pattern, patient in zip(
        cohort.order.tolist(), cohort.pattern()[cohort.order].tolist(), patients, strict=True
    ):
        answer = told.get(k, nobody)
        why = [] if answer["alike"] else [NOBODY if k in told else NOTHING_KNOWN]
        found.append({"pattern": pattern, **answer, "notes": [*patient.notes, *loaded.notes, *why]})
    return found
