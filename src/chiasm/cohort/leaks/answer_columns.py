"""Columns of a table whose cell is what is to be predicted: the right option of a choice, or a reference text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pandas as pd

from chiasm.errors import Problem, count, warning
from chiasm.targets.cells import label_text

SAME = 0.95  # share of the patients whose cell is the answer, from which a column is it


def answer_columns(
    frame: pd.DataFrame,
    answers: Sequence[Collection[str]],
    plain: Callable[[str], str],
    *,
    told: str,
    known: str,
    path: str | None,
    modality: str,
) -> list[Problem]:
    """Report, in one finding, the columns whose cell is the patient's answer for nearly all and differs between them.

    Args:
        frame: the rows of the patients.
        answers: what counts as the answer of each, as `plain` writes it.
        plain: writes a cell so that two that say the same are equal; an empty cell is no answer.
        told: what the answer is called.
        known: after what such a column is known.
    """
    found = []
    for column in frame.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]]:
        cells = ["" if own is None else plain(str(own)) for own in label_text(frame[column]).tolist()]
        same = [cell != "" and cell in own for cell, own in zip(cells, answers, strict=True)]
        if len(set(cells)) > 1 and np.mean(same) >= SAME:
            found.append(f"'{column}'")
    if not found:
        return []
    what = f"{count(len(found), 'column')} {'is' if len(found) == 1 else 'are'} {told}: {', '.join(found)}"
    fix = f"leave out what is known only after the {known}"
    return [warning(what, fix, path=path, modality=modality, finding="leaking-column", leak=True)]
