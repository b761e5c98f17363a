"""Public function to explain a model's predictions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from chiasm.api.encoding import encode_for
from chiasm.api.external import read_by, told_by
from chiasm.cohort import Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.errors import FindingWarning
from chiasm.models.explain.shares import mean_shares, modality_shares
from chiasm.protocols import Model


@dataclass(frozen=True, repr=False)
class Explanation:
    """What each modality brings to the predictions of a model.

    Attributes:
        shares: one row a patient, output and modality: `patient, pattern, output, prediction, base, modality, share`.
        summary: one row an output and modality: `output, modality, patients, mean, size, low, high`, where `size` is
            the mean absolute share of those who have the modality, with the 95 % interval of drawing patients.
        problems: what could not be read and counts as absent.
        notes: what the model warned of: values far outside of training, levels that it does not know.
        left_out: number of patients who have no modality that the model reads.
    """

    shares: pd.DataFrame
    summary: pd.DataFrame
    problems: tuple[Any, ...]
    notes: tuple[str, ...]
    left_out: int

    def __repr__(self) -> str:
        return f"Explanation of {self.shares['patient'].nunique():,} patients"


def explain(
    model: Model, cohort: Given, *, progress: Callable[[str, int, int], None] | None = None, seed: int = 0
) -> Explanation:
    """Split each patient's prediction among the modalities, exactly: see `chiasm.models.explain.shares`.

    Args:
        model: a fitted model.
        cohort: patients, whose outcome is not read; or the path of a manifest, which is encoded first.
        progress: called with ("subsets", finished, all), and before with (modality, finished, all) sources.
        seed: of the draws of patients for the intervals.

    Raises:
        Unsupported: fewer than two patients, more than eight modalities, nothing that the model reads, or a patient
            that it does not predict.
    """
    found = encode_for(model, as_cohort(cohort), progress=progress)
    names = read_by(model, found.cohort)
    if not names:
        raise Unsupported("the cohort has no modality that the model reads: there is nothing to explain")
    known = found.cohort.with_modalities(names)
    there = np.asarray(known.present.any(axis=1))
    known = known.subset(there)
    if not len(known):
        raise Unsupported("nobody of the cohort has a modality that the model reads: there is nothing to explain")
    whole, notes = told_by(model, known)
    step = None if progress is None else lambda done, of: progress("subsets", done, of)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FindingWarning)  # the subsets would say again what all have said
        shares = modality_shares(model, known, names, whole=whole, progress=step)
    return Explanation(shares, mean_shares(shares, seed=seed), tuple(found.problems), tuple(notes), int((~there).sum()))
