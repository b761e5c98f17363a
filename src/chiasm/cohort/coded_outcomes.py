"""Cells of an outcome whose codes have labels: the words that are understood, or else the codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort.tables import Table
from chiasm.targets import Target
from chiasm.targets.cells import codes_of, given, label_text


def outcome_cells(patients: Table, target: Target) -> pd.DataFrame:
    """Read the columns of a target.

    Classes are the words of labels. An event, a label or a number is read by its words only where all of them say yes
    or no, as `alive` and `dead`; where any does not, as `died of disease`, by its codes.
    """
    frame = patients.frame(list(target.columns))
    if target.has_classes:
        return frame
    coded = {name: patients.codes(name) for name in frame.columns if not _understood(frame[name])}
    return frame.assign(**{name: own.to_numpy() for name, own in coded.items() if own is not None})


def _understood(column: pd.Series[Any]) -> bool:
    text = label_text(column)
    return not bool(np.isnan(codes_of(text[given(text)], status=True)).any())
