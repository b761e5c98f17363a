"""Which levels of a column of words a model keeps: those that enough patients share, for a rare word may be a name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.sources import ColumnSource
from chiasm.errors import Problem, warning
from chiasm.targets.target import USUAL_FOLDS

LEAST = 2
FEW_LEVELS, FEW_PATIENTS = 10, 5


def kept_levels(patients: NDArray[np.int_], *, declared: bool = False) -> NDArray[np.bool_]:
    """`(K,)` True for the levels of a column that a model keeps: those of at least two patients.

    Of a column with over ten levels, most of them of fewer than five patients, those of five or more: they may be names
    or numbers of records, which two patients share now and then. Not so where their owner says that they are none.

    Args:
        patients: number of patients who have each level, `(K,)`.
        declared: True where the manifest, or `cohort_from_frames`, names the column in `categories`.
    """
    return patients >= (FEW_PATIENTS if not declared and _like_names(patients) else LEAST)


def rare_words(source: ColumnSource, frame: pd.DataFrame, rows: NDArray[np.int_]) -> Iterator[Problem]:
    """Yield a warning for each column of which a model, or those of a trial's folds, does not keep the rare words.

    Args:
        frame: the tidy table of the source.
        rows: its row of each patient.
    """
    for name in (own.name for own in source.described if own.kind == "category" and own.name not in source.declared):
        codes, levels = pd.factorize(frame[name].iloc[rows])
        patients = np.bincount(codes[codes >= 0], minlength=len(levels))
        trained = np.maximum(1, patients * (USUAL_FOLDS - 1) // USUAL_FOLDS)  # a word of nobody is no word
        if _like_names(patients):
            number, few, model = f"{_lost(patients):,}", "patients", "a model"
        elif _like_names(trained):
            number, few, model = f"about {_lost(trained):,}", "training patients of a fold", "the models of a trial"
        else:
            continue
        yield warning(
            f"column '{name}' has {len(patients):,} words, and {number} of them, which fewer than {FEW_PATIENTS} {few} "
            f"share, are not kept by {model}: they may be names",
            "name the column in categories if they are none, such as codes or sites; else leave it out by `columns`",
            path=source.path,
            modality=source.modality,
            finding="rare-words",
        )


def _lost(patients: NDArray[np.int_]) -> int:
    return int((~kept_levels(patients)).sum())


def _like_names(patients: NDArray[np.int_]) -> bool:
    return len(patients) > FEW_LEVELS and bool(np.median(patients) < FEW_PATIENTS)
