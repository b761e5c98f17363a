"""Which columns of a wide modality are shuffled: those that go most with what a model predicts, and those of words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata  # type: ignore[import-untyped]

from chiasm.cohort import Cohort


def words_of(cohort: Cohort, modality: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that hold something else than numbers, which has no rank."""
    frame = cohort.raw(modality)
    frame.columns = frame.columns.map(str)
    worded = [name for name in columns if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    return [name for name in worded if (frame[name].notna() & pd.to_numeric(frame[name], errors="coerce").isna()).any()]


def screened(
    cohort: Cohort, modality: str, columns: Sequence[str], whole: pd.DataFrame, answers: Sequence[str], most: int
) -> list[str]:
    """Return the `most` columns whose ranks go most with those of a model's answers, within patterns; no outcome.

    Of several answers, that which a column goes with most counts. A pattern in which a column is empty says nothing of
    it; elsewhere a missing value has the rank of the median.

    Args:
        columns: of numbers, see `words_of`.
        whole: predictions of all patients of the cohort, in the order of their ids.
    """
    rows = cohort.rows_of(modality)
    _, pattern = cohort.patterns()
    frame = cohort.raw(modality, rows)
    frame.columns = frame.columns.map(str)
    values = frame[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    found, tall = np.zeros((len(answers), len(columns))), np.zeros((len(answers), len(columns)))
    wide = np.zeros(len(columns))
    for own in np.unique(pattern[rows]):
        here = pattern[rows] == own
        x, told = values[here], ~np.isnan(values[here]).all(axis=0)
        if not told.any():
            continue
        x = x[:, told]
        x = rankdata(np.where(np.isnan(x), np.nanmedian(x, axis=0), x), axis=0)
        y = rankdata(whole.iloc[rows[here]][list(answers)].to_numpy(np.float64), axis=0)
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        found[:, told] += y.T @ x
        wide[told] += (x**2).sum(axis=0)
        tall[:, told] += (y**2).sum(axis=0)[:, None]
    scale = np.sqrt(wide * tall)
    together = np.abs(found / np.where(scale > 0, scale, np.inf)).max(axis=0)
    return [columns[place] for place in np.argsort(-together, kind="stable")[:most]]
