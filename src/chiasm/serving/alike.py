"""Whom a patient of a request is like in training: the group that the model keeps, in bands."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.errors import hush_findings
from chiasm.fitting.similar_groups import NOT_KEPT
from chiasm.protocols import Embeds
from chiasm.serving.answers import Answer, each_apart, ready
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
    return each_apart(lambda own: _alike(loaded, own, sources, scratch), patients)


def _alike(loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path], scratch: Path) -> list[Answer]:
    kept, predictor = loaded.model.similar, loaded.model.predictor
    embedding = predictor.embedding if isinstance(predictor, Embeds) else None
    assert kept is not None and embedding is not None  # `require_keeps` refused otherwise
    with tempfile.TemporaryDirectory(dir=scratch) as folder, warnings.catch_warnings():
        hush_findings()
        own = ready(loaded, patients, sources, Path(folder))
        found: list[Answer] = [own.faults.get(row, ()) for row in range(len(patients))]
        if not own.rows:
            return found
        names = [name for name in own.cohort.modalities if name in loaded.model.modalities]
        cohort = own.cohort.with_modalities(names)
        there = np.flatnonzero(cohort.present.any(1))
        told: dict[int, dict[str, Any]] = {}
        if len(there):
            told = dict(zip(there.tolist(), kept.nearest(embedding(cohort.subset(there))), strict=True))
        nobody = {"alike": False, "patients": f"{kept.least:,} or more", "outcome": None}
        for k, row, pattern in zip(
            cohort.order.tolist(), own.rows, cohort.pattern()[cohort.order].tolist(), strict=True
        ):
            answer = told.get(k, nobody)
            why = [] if answer["alike"] else [NOBODY if k in told else NOTHING_KNOWN]
            found[row] = {"pattern": pattern, **answer, "notes": [*patients[row].notes, *loaded.notes, *why]}
    return found
