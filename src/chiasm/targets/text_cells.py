"""The cells of a text target: a text, a JSON list of them, several columns, or the text of a file."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.targets.cells import Cells, label_text
from chiasm.targets.channel_cells import Unread

MOST_SIGNS = 20_000
"""Signs of a reference text: a long report; more is a document, of which no answer is a copy."""
MOST_REFERENCES = 50
NOT_USED = "the patient is neither trained on nor tested"

Objects = NDArray[np.object_]


def read_references(cells: Cells, columns: Sequence[str], *, several: bool) -> Objects:
    """Read the reference texts (B,), a tuple for each patient, empty where none is known; what is wrong is noted.

    Args:
        several: True if a cell is a JSON list of texts.
    """
    named = f"column '{columns[0]}'" if len(columns) == 1 else "the columns of the text"
    given: list[list[str]] = [[] for _ in range(len(cells.patients))]
    wrong = np.zeros(len(given), dtype=bool)
    for column in columns:
        raw = cells.patients[column]
        _note_unread(cells, column, raw.tolist())
        if several:
            lists = [_listed(cell) for cell in raw.tolist()]
            wrong |= np.array([own is None for own in lists], dtype=bool)
            read: list[list[str]] = [own or [] for own in lists]
        else:
            plain = raw.map(lambda cell: None if isinstance(cell, Unread) else cell)
            read = [[] if text is None else [str(text)] for text in label_text(plain)]
        given = [[*own, *more] for own, more in zip(given, read, strict=True)]
    cells.note(f"{named} holds no JSON list of texts", 'write ["...", "..."], or leave out `several`', wrong)
    texts = [tuple(dict.fromkeys(text.strip() for text in own if text.strip())) for own in given]
    unread = np.array([any(isinstance(cells.patients[c].iloc[k], Unread) for c in columns) for k in range(len(texts))])
    empty = np.array([not own for own in texts], dtype=bool) & ~wrong & ~unread.astype(bool)
    cells.note(f"{named} is missing", f"fill it in; without, {NOT_USED}", empty, "warning")
    if empty.any():
        cells.missing.append(cells.findings[-1])
    long = np.array([any(len(text) > MOST_SIGNS for text in own) for own in texts], dtype=bool)
    fix = "name the part that is to be predicted, as the impression of a report"
    cells.note(f"{named} holds a text of more than {MOST_SIGNS:,} signs", fix, long)
    many = np.array([len(own) > MOST_REFERENCES for own in texts], dtype=bool)
    cells.note(f"{named} holds more than {MOST_REFERENCES} texts of one patient", "keep those that count", many)
    found = np.empty(len(texts), dtype=object)
    found[:] = [() if bad else own for own, bad in zip(texts, wrong | long | many, strict=True)]
    return found


def _note_unread(cells: Cells, column: str, raw: list[object]) -> None:
    """Note the files that could not be read, once for each thing that is wrong."""
    faults = {(cell.what, cell.fix) for cell in raw if isinstance(cell, Unread)}
    for what, fix in sorted(faults):
        here = [isinstance(cell, Unread) and (cell.what, cell.fix) == (what, fix) for cell in raw]
        cells.note(f"column '{column}' {what}", fix, np.array(here, dtype=bool))


def _listed(cell: object) -> list[str] | None:
    """The texts of a cell; empty for an empty cell, None for one that is no list of texts."""
    if isinstance(cell, Unread):
        return []
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, str):
        if not cell.strip():
            return []
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return None
    elif cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return []
    if not isinstance(cell, list | tuple):
        return None
    plain = [own if isinstance(own, str) else str(own) for own in cell if _is_text(own)]
    return plain if len(plain) == len(cell) else None


def _is_text(own: object) -> bool:
    """True for a text or a number; NaN and infinity are none, and would be read as the words `nan` and `inf`."""
    if isinstance(own, float):
        return bool(np.isfinite(own))
    return isinstance(own, str | int) and not isinstance(own, bool)
