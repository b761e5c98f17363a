"""No prediction leaves a model that cannot be: numbers are finite, probabilities lie between 0 and 1."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import count, first_rows

PROBABILITIES = ("p_", "survival_", "incidence_")
ROUNDING = 1e-9


class ImpossiblePrediction(ValueError):
    """Error for a prediction that cannot be; it names rows of the patients' table and no value."""


def require_possible(frame: pd.DataFrame, rows: NDArray[np.int_]) -> None:
    """Raise `ImpossiblePrediction` unless numbers are finite, probabilities between 0 and 1, and texts said.

    Args:
        frame: predictions, without the pattern.
        rows: row of each patient in the patients' table, counted as in a spreadsheet.
    """
    said, frame = frame.select_dtypes(include=[object]), frame.select_dtypes(exclude=[object])
    values = frame.to_numpy(np.float64)
    wrong = ~np.isfinite(values)
    for position, name in enumerate(frame.columns):
        if str(name).startswith(PROBABILITIES):
            wrong[:, position] |= ~((values[:, position] >= -ROUNDING) & (values[:, position] <= 1 + ROUNDING))
    silent = np.zeros(len(frame), dtype=bool)  # no score was finite
    for _, texts in said.items():
        if pd.api.types.infer_dtype(texts, skipna=False) != "string":  # one look for all, and at each where one fails
            silent |= [not isinstance(text, str) for text in texts]
    if wrong.any() or silent.any():
        found = np.sort(rows[wrong.any(1) | silent]).tolist()
        raise ImpossiblePrediction(
            f"the model predicts for {count(len(found), 'patient')} what cannot be, a number that is not finite or a "
            f"probability outside 0 to 1 ({first_rows(found)}): its training diverged or its folder was changed, fit "
            "it again; or these rows hold numbers of another magnitude than in training"
        )
