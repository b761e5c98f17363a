"""Public function to explain a model's predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from chiasm.api.encoding import encode_for
from chiasm.cohort import Unsupported
from chiasm.cohort.opened import Given, as_cohort
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
    """

    shares: pd.DataFrame
    summary: pd.DataFrame
    problems: tuple[Any, ...]

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
    reads = getattr(model, "modalities", None)
    names = [name for name in found.cohort.modalities if reads is None or name in reads]
    if not names:
        raise Unsupported("the cohort has no modality that the model reads: there is nothing to explain")
    step = None if progress is None else lambda done, of: progress("subsets", done, of)
    shares = modality_shares(model, found.cohort, names, progress=step)
    return Explanation(shares, mean_shares(shares, seed=seed), tuple(found.problems))
