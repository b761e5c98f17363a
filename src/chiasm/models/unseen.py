"""Patients whose pattern of modalities no training patient had: the model was never tried on such a one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import count
from chiasm.fitting.model import FittedModel

NOTE = "a pattern of modalities that no training patient had"
UNSEEN, REFUSED = "a pattern never seen in training", "no prediction: a pattern never seen in training"
NOTHING = "no modality of the model: what training patients have on average"


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
    answers = [name for name in frame.columns if name not in ("pattern", "note")]
    frame.loc[rows, answers] = np.nan
    return frame


def unseen_noted(model: object, predictions: pd.DataFrame, unseen: str = UNSEEN) -> pd.DataFrame:
    """Return the predictions with a `note` for such a pattern and for no modality at all, where anybody has these.

    Args:
        predictions: (B,) rows with their pattern; a note that stands there already is kept before it.
        unseen: what is said of a pattern that no training patient had.
    """
    nothing = (predictions["pattern"] == "").to_numpy(bool)
    said = np.where(unseen_rows(model, predictions), unseen, np.where(nothing, NOTHING, "")).astype(object)
    if not said.any():
        return predictions
    if "note" in predictions:
        pairs = zip(predictions["note"], said, strict=True)
        said = np.array(["; ".join(own for own in pair if own) for pair in pairs], dtype=object)
    return predictions.assign(note=said)


def unseen_told(model: object, predictions: pd.DataFrame) -> list[str]:
    """Say how many patients have such a pattern, and which patterns these are; empty without any."""
    rows = unseen_rows(model, predictions)
    if not rows.any():
        return []
    names = sorted(set(predictions["pattern"].to_numpy(object)[rows].tolist()))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    have = "has" if rows.sum() == 1 else "have"
    return [f"{count(int(rows.sum()), 'patient')} {have} {NOTE}: {', '.join(names[:3])}{more}."]
