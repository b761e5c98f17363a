"""Scaled columns of modalities side by side, each centred on those who have it; what a patient lacks adds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chiasm.cohort import Cohort
from chiasm.fitting.shared import shared_features
from chiasm.linear.shared_rows import Rows, SharedRows
from chiasm.linear.shared_rows import side_by_side as beside


def columns(cohort: Cohort, features: Mapping[str, Any], means: Mapping[str, np.ndarray]) -> Rows:
    """Concatenate centred scaled columns to `(B, sum of F_m)`, in the order of `means`; zeros where absent."""
    blocks: list[Rows] = []
    for name, mean in means.items():
        rows = cohort.rows_of(name) if name in cohort.modalities else np.zeros(0, int)
        if not len(rows):
            blocks.append(np.zeros((len(cohort), len(mean))))
            continue
        own = shared_features(cohort, name, features[name].features)
        if isinstance(own, SharedRows):  # the last row stands for absence
            (table,), place = own.tables, np.full(len(cohort), len(own.tables[0]))
            place[rows] = own.index[0]
            blocks.append(SharedRows((np.concatenate([table - mean, np.zeros((1, len(mean)))]),), (place,)))
            continue
        block = np.zeros((len(cohort), len(mean)))
        block[rows] = own - mean
        blocks.append(block)
    return beside(blocks)


def means_of(cohort: Cohort, features: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the mean `(F_m,)` of each modality's scaled columns over the patients who have it."""
    return {name: shared_features(cohort, name, own.features).mean(0) for name, own in features.items()}


def blocks_of(cohort: Cohort, features: Mapping[str, Any], means: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return each modality's centred scaled columns, `(B, F_m)`; zeros where absent."""
    return [np.asarray(columns(cohort, features, {name: mean})) for name, mean in means.items()]
