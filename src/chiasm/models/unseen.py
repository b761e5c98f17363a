"""Patients whose pattern of modalities no training patient had: the model was never tried on such a one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import count
from chiasm.fitting.model import FittedModel

NOTE = "a pattern of modalities that no training patient had"


def patterns_of(model: object) -> tuple[str, ...]:
    """Return the patterns of a model's training patients; empty where it kept none."""
    return model.patterns if isinstance(model, FittedModel) else ()


def unseen_rows(model: object, predictions: pd.DataFrame) -> NDArray[np.bool_]:
    """(B,) True for a patient with a pattern that the model was not fitted on; all False if the model kept none.

    A patient with none of the modalities is not among them: he gets the prior, or an error.
    """
    seen = patterns_of(model)
    if not seen:
        return np.zeros(len(predictions), dtype=bool)
    return np.array([bool(name) and name not in seen for name in predictions["pattern"].tolist()], dtype=bool)


def refused(predictions: pd.DataFrame, rows: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the predictions with empty cells for these patients, but for the pattern."""
    frame = predictions.copy()
    answers = [name for name in frame.columns if name != "pattern"]
    frame.loc[rows, answers] = np.nan
    return frame


def unseen_told(model: object, predictions: pd.DataFrame) -> list[str]:
    """Say how many patients have such a pattern, and which patterns these are; empty without any."""
    rows = unseen_rows(model, predictions)
    if not rows.any():
        return []
    names = sorted(set(predictions["pattern"].to_numpy(object)[rows].tolist()))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    have = "has" if rows.sum() == 1 else "have"
    return [f"{count(int(rows.sum()), 'patient')} {have} {NOTE}: {', '.join(names[:3])}{more}."]
