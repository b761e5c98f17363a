"""What a model predicts of nobody in particular, from what its folder keeps: the base of one patient's shares."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chiasm.fitting.model import FittedModel
from chiasm.heads.kinds import HEADS
from chiasm.targets import kind_of

SHARES = "the share of each class among the training patients"
MEAN = "a patient at the mean of the training patients' links"


def reference_of(model: FittedModel) -> tuple[pd.Series, str] | None:
    """Return the outputs of nobody in particular, by column, and what they are in words; None where none are kept.

    For classes and labels the shares among the training patients. For a number the mean link, which is the mean
    prediction. For times the prediction at the mean link: a risk of zero, and the survival there, which is not the mean
    of the patients' survival.
    """
    head, names = HEADS[model.response.kind], model.response.classes
    if head.has_logits:
        columns = kind_of(model.response.kind).answers(names)
        if set(model.prevalence) != set(names):
            return None
        return pd.Series([model.prevalence[name] for name in names], index=columns, dtype=np.float64), SHARES
    level = 0.0 if head.is_relative else model.response.centre
    frame = head.frame(np.full((1, max(1, len(names))), level), model.response)
    return frame.iloc[0].astype(np.float64), MEAN
