"""Read a file of SPSS, Stata or SAS as a table: values by their type, dates by their epoch, codes by their labels."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.dialect import Form
from chiasm.cohort.epochs import moments, unit_of
from chiasm.cohort.grid import Grid, GridError, Note, Numbers, Texts, column_of, refuse_repeated, without_marks, written
from chiasm.cohort.notation import number
from chiasm.cohort.own_process import ask, require_package
from chiasm.cohort.statistics_process import ENCODING, LIMIT
from chiasm.errors import count, first_rows
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
SCALE = 3  # most labels of one whose other values have none
UNKNOWN = re.compile(r"(7|8|9)\1+|9+[78]")
BUSINESS = ("%tb", "%-tb")


def read_statistics(path: Path, form: Form) -> Grid:
    """Read a table of SPSS, Stata or SAS.

    Codes that its owner declared missing are missing. A column of codes with labels holds the words of the labels (see
    `_by_labels`), unless `form.labels` is False. Of SAS the labels lie in a catalogue of their own, which is not read.

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
    codes: dict[str, Numbers | Texts] = {}
    for name, values, own, words in zip(names, raw, formats, labels, strict=True):
        unit = unit_of(program, own)
        if unit and not isinstance(values, list):
            columns[name] = moments(values, unit, program, name)
            continue
        columns[name] = column_of(values, form) if isinstance(values, list) else without_marks(values, form)
        if program == "Stata" and own.startswith(BUSINESS):
            notes.append(_business_days(name))
        if words and form.labels is not False:
            said, found = _by_labels(name, columns[name], words)
            notes += [said] if said else []
            if found is not None:
                codes[name] = columns[name]
                columns[name] = np.where(np.isin(found.astype(str), form.missing or ()), "", found)
    return Grid(columns, rows, tuple(notes), codes)


def _read(
    path: Path, function: str, program: str, encoding: str, size: int
) -> tuple[list[str], list[Numbers | list[str]], list[str], list[dict[Any, str]], int]:
    """Names, columns, formats and labels of a file, and its number of rows, read in a process that may break down."""
    require_package("pyreadstat", "files of SPSS, Stata and SAS", "tables")
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


def _by_labels(name: str, values: Numbers | Texts, labels: dict[Any, str]) -> tuple[Note | None, Texts | None]:
    """Return the words of the labels of codes `(n,)`, or None where they stay codes, with a note on those in part.

    They are words where the labels are those of a code (see `_of_codes`) and most of the rows have one; a code without
    stays as it is written, so that one of 9 among men and women leaves these what they are.
    """
    words = {_key(code): text for code, own in labels.items() if (text := str(own).strip())}
    places, levels = pd.factorize(pd.Series(values))
    present = [written(level) for level in levels]
    has = np.array([*(text in words for text in present), False], dtype=bool)[places]
    filled = np.array([*(bool(text) for text in present), False], dtype=bool)[places]
    bare = {text for text in present if text and text not in words}
    if _of_codes(words) and 2 * has.sum() >= filled.sum() and not bare & set(words.values()):
        found: Texts = np.array([*(words.get(text, text) for text in present), ""], dtype=object)[places]
        return (_without(name, filled & ~has) if bare else None), found
    return (_in_part(name, has) if has.any() else None), None


def _key(code: Any) -> str:
    return written(code if isinstance(code, str) else float(code))


def _of_codes(words: dict[str, str]) -> bool:
    """Tell from the labels alone, which new patients share, whether they are those of a code and not of a scale.

    A code has two labels or more, no two the same. Up to three with others between them are the ends and the middle of
    a scale, as of pain from 0 to 10. What stands for unknown behind two others or more (9, 99, 998, negative; 7 before
    8 or 9) does not count.
    """
    if len(words) < 2:
        return False
    numbers = {own: code for code in words if (own := number(code)) is not None}
    usual = sorted(own for own in numbers if own >= 0)
    while usual and (usual[-1] in (8, 9) or UNKNOWN.fullmatch(written(usual[-1]))):
        usual.pop()
    if usual and usual[-1] == 7 and {8.0, 9.0} & set(numbers):
        usual.pop()
    counted = usual if len(usual) > 1 else sorted(numbers)
    texts = [words[numbers[own]] for own in counted] + [word for code, word in words.items() if number(code) is None]
    if len(set(texts)) < len(texts):
        return False
    return len(numbers) < len(words) or len(counted) > SCALE or counted[-1] - counted[0] < len(counted)


def _in_part(name: str, has: NDArray[np.bool_]) -> Note:
    rows = (np.flatnonzero(has) + 2).tolist()
    what = f"column '{name}' is read by its codes: some have no label, two have the same, or others lie between them"
    fix = 'declare codes such as 99 for unknown as missing, there or as in missing = ["99"]; or label all'
    where = f"{count(len(rows), 'row')} with a label ({first_rows(rows)})"
    return Note(f"{what}: {where}", fix, "labels-in-part", rows[0])


def _without(name: str, bare: NDArray[np.bool_]) -> Note:
    rows = (np.flatnonzero(bare) + 2).tolist()
    what = f"column '{name}' is read by its labels, and a code without one stays as it is"
    where = f"{count(len(rows), 'row')} ({first_rows(rows)})"
    fix = 'label it, or declare it missing, there or as in missing = ["9"]'
    return Note(f"{what}: {where}", fix, "labels-in-part", rows[0])


def _business_days(name: str) -> Note:
    what = f"column '{name}' counts the days of a calendar of business days, which is not read, and is read as numbers"
    return Note(what, "write it as a date, by dofb() of Stata", "business-days")
