"""Coefficients of a linear model's columns, for one standard deviation of each, through its projection: exact.

    f_i = f_0 + sum over columns j of b_j z_ij,        effect_j = b_j sd(z_j)

f is the calibrated link (log hazard, log odds, or the number itself) of a patient with every modality. Of two classes
it is the log odds of one against the other, the difference of the two outputs of a softmax; of more the log probability
of a class less the mean of those of all classes, since a softmax has no reference of its own. `z` are the columns as
the model reads them (scaled; finely measured ones as normal scores of their training rank, see `Scaler`), and sd that
of the patients who are explained. Nothing is shuffled and nothing fitted; of who lacks a modality the link may have
other factors, as in a mean over what is there.
"""

from __future__ import annotations

import pandas as pd

from chiasm.cohort import Cohort
from chiasm.encoders.table.scaling import Columns
from chiasm.encoders.table.table import TableEncoder
from chiasm.fitting.coefficients import coefficients_of
from chiasm.fitting.expected import encoders_within
from chiasm.fitting.model import FittedModel
from chiasm.protocols import Model
from chiasm.targets import kind_of


def linear_columns(model: Model, cohort: Cohort) -> pd.DataFrame | None:
    """Return the coefficients of a model that is linear on columns of tables and omics; None of any other.

    Args:
        cohort: encoded patients.

    Returns:
        One row a modality, feature and output: `modality, column, name, output, patients, coefficient, deviation,
        effect`, where a category has a feature for each level and `output` is the place of the link's output.
    """
    if not isinstance(model, FittedModel):
        return None
    known = coefficients_of(model.predictor)
    if known is None:
        return None
    found = []
    read = dict(reversed([*encoders_within(model.predictor, set(model.modalities))]))  # the first of each counts
    for modality, (names, coef) in sorted(known.items()):
        features = read.get(modality)
        if features is None or modality not in cohort.modalities or not len(cohort.rows_of(modality)):
            continue
        if not isinstance(features, TableEncoder | Columns) or tuple(features.feature_names) != tuple(names):
            continue
        own = model.response.slope * coef  # (F, K)
        if kind_of(model.response.kind).has_classes:
            own = own - (own[:, ::-1] if own.shape[1] == 2 else own.mean(axis=1, keepdims=True))
        columns = features.feature_columns if isinstance(features, TableEncoder) else names
        deviation = features.features(cohort.raw(modality)).std(axis=0)
        for place in range(own.shape[1]):
            found.append(
                pd.DataFrame(
                    {
                        "modality": modality,
                        "column": list(columns),
                        "name": list(names),
                        "output": place,
                        "patients": len(cohort.rows_of(modality)),
                        "coefficient": own[:, place],
                        "deviation": deviation,
                        "effect": own[:, place] * deviation + 0.0,  # no negative zero
                    }
                )
            )
    return pd.concat(found, ignore_index=True) if found else None


def scale_of(model: Model) -> str:
    """Say what a coefficient changes."""
    assert isinstance(model, FittedModel)  # `linear_columns` has none of others
    kind = kind_of(model.response.kind)
    if kind.has_classes:
        two = "the log odds of the class against the other one"
        return two if len(model.response.classes) == 2 else "the log probability of the class less the mean of all"
    return "the log odds of the label" if kind.has_labels else "the log hazard" if kind.has_times else "the prediction"
