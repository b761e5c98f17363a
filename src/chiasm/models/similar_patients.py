"""Whom a patient is like in training: groups that a model keeps where that was asked for, and never one patient."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, Unsupported
from chiasm.errors import FindingWarning
from chiasm.fitting.model import FittedModel
from chiasm.fitting.similar_groups import MOST, NOT_KEPT, SimilarGroups, groups_of
from chiasm.protocols import Embeds
from chiasm.retrieval.embed import embed_model
from chiasm.targets.kinds import kind_of

NO_EMBEDDING = (
    "a model of this recipe puts predictions together and has no embedding of a patient: no groups of similar patients "
    "are kept; healnet, lego-fuse and single:MODALITY have one"
)


def people_of(cohort: Cohort) -> np.ndarray:
    """Rows of the patients with a known outcome, one of each person who has several."""
    if cohort.outcome is None:
        return np.zeros(0, dtype=int)
    rows = np.flatnonzero(cohort.outcome.known)
    if cohort.group is None:
        return rows
    own = np.array([name or f"\0{row}" for row, name in zip(rows, cohort.group[rows], strict=True)])
    return np.asarray(rows[np.sort(np.unique(own, return_index=True)[1])])


def with_similar(model: FittedModel, cohort: Cohort, least: int, seed: int = 0) -> FittedModel:
    """Return the model with groups of `least` or more of the patients whom it was fitted on.

    Args:
        cohort: the encoded cohort of the fit.
        seed: by which 5,000 patients are drawn where there are more.
    """
    if not isinstance(model.predictor, Embeds) or model.predictor.embedding is None:
        warnings.warn(NO_EMBEDDING, FindingWarning, stacklevel=3)
        return model
    rows = people_of(cohort)
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    own = cohort.subset(rows)
    places, vectors = embed_model(model, own)
    outcome = own.outcome
    assert outcome is not None
    said = model.response
    unit = str(model.target.get("unit") or "")
    kept = groups_of(vectors, outcome.take(places), kind_of(said.kind), said.classes, said.times, least, unit)
    return replace(model, similar=kept)


def kept_groups(model: Any) -> SimilarGroups:
    """Return the groups that a model keeps.

    Raises:
        Unsupported: it keeps none.
    """
    own = model.similar if isinstance(model, FittedModel) else None
    if own is None:
        raise Unsupported(NOT_KEPT)
    return own


def similar_in_training(model: Any, cohort: Cohort) -> pd.DataFrame:
    """Find the group of training patients that each patient is like.

    Returns:
        One row a patient who has a modality of the model, indexed by identifier: `alike`, `patients`, and the band of
        each output, None where the patient is like nobody.

    Raises:
        Unsupported: the model keeps no groups.
    """
    own = kept_groups(model)
    rows, vectors = embed_model(model, cohort)
    lines = [
        {"alike": one["alike"], "patients": one["patients"], **(one["outcome"] or dict.fromkeys(own.outputs))}
        for one in own.nearest(vectors)
    ]
    index = pd.Index(cohort.ids[rows], name="patient", dtype=object)
    return pd.DataFrame(lines, index=index, columns=["alike", "patients", *own.outputs])
