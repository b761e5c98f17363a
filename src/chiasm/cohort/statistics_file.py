"""Read a file of SPSS, Stata or SAS as a table: values by their type, dates by their epoch, codes by their labels."""

from __future__ import annotations

import codecs
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort.dialect import Form
from chiasm.cohort.epochs import moments, unit_of
from chiasm.cohort.grid import Grid, GridError, Note, Numbers, Texts, column_of, refuse_repeated, without_marks, written
from chiasm.cohort.own_process import ask
from chiasm.cohort.statistics_process import ENCODING, LIMIT
from chiasm.errors import Unsupported, count, first_rows
from chiasm.limits import BOMB_CELLS, BOMB_RATIO, STATISTICS_BYTES, STATISTICS_CELLS, LimitError, require_regular

READERS = {  # suffix -> the function of pyreadstat, the program
    ".sav": ("read_sav", "SPSS"),
    ".zsav": ("read_sav", "SPSS"),
    ".por": ("read_por", "SPSS"),
    ".dta": ("read_dta", "Stata"),
    ".sas7bdat": ("read_sas7bdat", "SAS"),
    ".xpt": ("read_xport", "SAS"),
}
STATISTICS = tuple(READERS)


def read_statistics(path: Path, form: Form) -> Grid:
    """Read a table of SPSS, Stata or SAS.

    Codes that its owner declared missing are missing. A column whose codes all carry labels holds the words of the
    labels, unless `form.labels` is False. Of SAS the labels lie in a catalogue of their own, which is not read.

    Raises:
        GridError: a damaged file, or one of another kind; a name that stands twice; a date that is none.
        LimitError: over a limit.
        Unsupported: pyreadstat is missing.
    """
    size = require_regular(path, STATISTICS_BYTES)
    function, program = READERS[path.suffix.lower()]
    names, raw, formats, labels, rows = _read(path, function, program, form.encoding or "", size)
    if not names:
        raise GridError("holds no column", f"write it again with {program}, or as CSV")
    refuse_repeated(names)
    columns: dict[str, Numbers | Texts] = {}
    notes: list[Note] = []
    labelled = []
    for name, values, own, words in zip(names, raw, formats, labels, strict=True):
        unit = unit_of(program, own)
        if unit and not isinstance(values, list):
            columns[name] = moments(values, unit, program, name)
            continue
        columns[name] = column_of(values, form) if isinstance(values, list) else without_marks(values, form)
        if words and form.labels is not False:
            said = _by_labels(columns[name], words)
            if isinstance(said, tuple):
                notes += [_in_part(name, said)] if said else []
            else:
                columns[name] = said
                labelled.append(name)
    return Grid(columns, rows, tuple(notes), tuple(labelled))


def _read(
    path: Path, function: str, program: str, encoding: str, size: int
) -> tuple[list[str], list[Numbers | list[str]], list[str], list[dict[Any, str]], int]:
    """Names, columns, formats and labels of a file, and its number of rows, read in a process that may break down."""
    require_package()
    encoding = codecs.lookup(encoding).name if encoding and function != "read_por" else ""
    of_size = max(BOMB_CELLS, BOMB_RATIO * size)
    found = ask("statistics_process.py", function, path, encoding, STATISTICS_CELLS, of_size)
    if found.code == LIMIT:
        rows, width = found.said
        what = f"holds {rows:,} rows of {width:,} columns, more than its bytes can or than {STATISTICS_CELLS:,} cells"
        raise LimitError(what, "keep fewer rows or columns, or write the table as Parquet")
    if found.code == ENCODING:
        raise GridError("its text is in another encoding than it says", 'name it, as in encoding = "latin-1"')
    if found.code:  # the package refused it, or broke down over it
        raise GridError(f"is not a file of {program}, or is damaged", f"write it again with {program}, or as CSV")
    header = found.header
    rows = int(header["rows"])
    blocks = np.frombuffer(found.rest, dtype=np.float64).reshape(-1, rows) if rows else None
    columns: list[Numbers | list[str]] = [np.empty(0)] * len(header["names"])
    for at, position in enumerate(header["numbers"]):
        columns[position] = blocks[at].copy() if blocks is not None else np.empty(0)
    for position, texts in header["texts"].items():
        columns[int(position)] = texts
    names = [str(name).strip() for name in header["names"]]
    return names, columns, header["formats"], [dict(map(tuple, own)) for own in header["labels"]], rows


def _by_labels(values: Numbers | Texts, labels: dict[Any, str]) -> Texts | tuple[int, ...]:
    """Return the words of the labels of codes `(n,)`, where all have one and no two the same; else the rows that do."""
    words = {
        written(code if isinstance(code, str) else float(code)): str(word).strip() for code, word in labels.items()
    }
    codes, levels = pd.factorize(pd.Series(values))
    present = [written(level) for level in levels]
    has = np.array([*(text in words for text in present), False], dtype=bool)[codes]
    said = [words.get(text, "") for text in present if text]
    if said and "" not in said and len(set(said)) == len(said):
        found: Texts = np.array([*(words.get(text, "") for text in present), ""], dtype=object)[codes]
        return found
    return tuple((np.flatnonzero(has) + 2).tolist())


def _in_part(name: str, rows: tuple[int, ...]) -> Note:
    what = f"column '{name}' is read by its codes, some of which have a label and others none, or two the same"
    fix = 'declare codes such as 99 for unknown as missing, there or as in missing = ["99"]; or label all'
    where = f"{count(len(rows), 'row')} with a label ({first_rows(list(rows))})"
    return Note(f"{what}: {where}", fix, "labels-in-part", rows[0])


def require_package() -> None:
    """Raise `Unsupported` if pyreadstat is missing."""
    if find_spec("pyreadstat") is None:
        raise Unsupported('files of SPSS, Stata and SAS need pyreadstat: pip install "chiasm[tables]"')
