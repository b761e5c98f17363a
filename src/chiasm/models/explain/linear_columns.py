"""Coefficients of a linear model's columns, for one standard deviation of each, through its projection: exact.

    f_i = f_0 + sum over columns j of b_j z_ij,        effect_j = b_j sd(z_j)

f is the calibrated link (log hazard, logit, or the number itself) of a patient with every modality, `z` the columns as
the model reads them (scaled; finely measured ones as normal scores of their training rank, see `Scaler`), and sd that
of the patients who are explained. Nothing is shuffled and nothing fitted; of who lacks a modality the link may have
other factors, as in a mean over what is there.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort
from chiasm.encoders.table.scaling import Columns
from chiasm.encoders.table.table import TableEncoder
from chiasm.fitting.coefficients import coefficients_of
from chiasm.fitting.expected import encoders_within
from chiasm.fitting.model import FittedModel
from chiasm.protocols import Model


def linear_columns(model: Model, cohort: Cohort) -> pd.DataFrame | None:
    """Return the coefficients of a model that is linear on columns of tables and omics; None of any other.

    Args:
        cohort: encoded patients.

    Returns:
        One row a modality, feature and output: `modality, name, output, patients, coefficient, deviation, effect`,
        where a category has a feature for each level and `output` is the place of the link's output.
    """
    if not isinstance(model, FittedModel):
        return None
    known = coefficients_of(model.predictor)
    if known is None:
        return None
    found = []
    read = dict(reversed([*encoders_within(model.predictor, set(model.modalities))]))
    for modality, (names, coef) in sorted(known.items()):
        features = read.get(modality)
        if features is None or modality not in cohort.modalities or not len(cohort.rows_of(modality)):
            continue
        if not isinstance(features, TableEncoder | Columns) or tuple(features.feature_names) != tuple(names):
            continue
        own = model.response.slope * coef  # (F, K)
        deviation = features.features(cohort.raw(modality)).std(axis=0)
        for place in range(own.shape[1]):
            found.append(
                pd.DataFrame(
                    {
                        "modality": modality,
                        "name": list(names),
                        "output": place,
                        "patients": len(cohort.rows_of(modality)),
                        "coefficient": own[:, place],
                        "deviation": deviation,
                        "effect": own[:, place] * deviation,
                    }
                )
            )
    return pd.concat(found, ignore_index=True) if found else None


def order_of_size(table: pd.DataFrame) -> np.ndarray:
    """Return the positions of the rows from the largest absolute effect to the smallest."""
    return np.argsort(-np.abs(table["effect"].to_numpy()), kind="stable")
