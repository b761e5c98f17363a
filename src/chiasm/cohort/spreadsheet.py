"""Read a sheet of an Excel workbook as a table; formulas count by their last value, macros are never looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.cohort.dialect import Form
from chiasm.cohort.grid import Grid, GridError, Note, column_of, lettered, refuse_repeated, written
from chiasm.cohort.workbook_parts import (
    AGAIN,
    Cells,
    is_filled,
    packed_again,
    parts_of,
    percent_styles,
    sheets_of,
    xlsx_cells,
)
from chiasm.errors import Unsupported, count, first_rows, nearest
from chiasm.limits import TABLE_BYTES, LimitError, require_regular

SPREADSHEETS = (".xlsx", ".xlsm")
LONG = 1e15
ABOVE = "take what stands above the names of the columns away"


def read_spreadsheet(path: Path, form: Form) -> Grid:
    """Read the sheet that a form names, or the first that is shown.

    The first filled row holds the names of the columns. Empty rows and columns around the table are none of it.

    Raises:
        GridError: a damaged file or one with a password; no such sheet; titles above the names; merged cells; formulas
            that were never computed.
        LimitError: over a limit.
        Unsupported: python-calamine is missing.
    """
    calamine = _calamine()
    require_regular(path, TABLE_BYTES)
    parts = parts_of(path)
    sheets = sheets_of(parts)
    try:
        with calamine.load_workbook(packed_again(parts)) as book:
            shown = [own.name for own in book.sheets_metadata if own.visible == calamine.SheetVisibleEnum.Visible]
            name, note = _chosen(form.sheet, sheets, [own for own in shown if own in sheets], parts)
            cells = xlsx_cells(parts[sheets[name]], percent_styles(parts))
            sheet = book.get_sheet_by_name(name)
            rows, merged = sheet.to_python(skip_empty_area=False), sheet.merged_cell_ranges or []
    except (GridError, LimitError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:  # a panic of Rust is no Exception; messages quote paths
        raise GridError("the workbook is damaged", AGAIN) from None
    for (row, column), text in cells.errors.items():
        if row < len(rows) and column < len(rows[row]):
            rows[row][column] = text
    return _grid(rows, cells, merged, form, note)


def _chosen(
    wanted: str | None, sheets: dict[str, str], shown: list[str], parts: dict[str, bytes]
) -> tuple[str, tuple[Note, ...]]:
    """Name of the sheet to read, with a note where it is one of several that hold something."""
    if wanted is not None and wanted not in sheets:
        like = nearest(wanted, sheets)
        fix = f"did you mean '{like}'?" if like else f"known are {', '.join(map(repr, list(sheets)[:10]))}"
        raise GridError(f"there is no sheet '{wanted}'", fix)
    if not sheets:
        raise GridError("the workbook has no sheet of cells", AGAIN)
    if wanted is not None:
        return wanted, ()
    name = (shown or list(sheets))[0]
    filled = [own for own in sheets if is_filled(parts[sheets[own]])]
    others = [own for own in filled if own != name]
    if not others:
        return name, ()
    what = (
        f"the workbook has {len({*filled, name}):,} filled sheets, of which '{name}', the first that is shown, is read"
    )
    return name, (Note(what, f'name the one that is meant, as in sheet = "{name}"', "several-sheets"),)


def _grid(rows: list[list[Any]], cells: Cells, merged: list[Any], form: Form, notes: tuple[Note, ...]) -> Grid:
    filled = [at for at, row in enumerate(rows) if _some(row)]
    if not filled:
        raise GridError("the sheet is empty", 'name the sheet of the table, as in sheet = "..."')
    top, last = filled[0], filled[-1]
    columns = list(zip(*rows[top : last + 1], strict=True))
    places = [at for at, column in enumerate(columns) if _some(column)]
    left, named = places[0], [at for at in places if _some([columns[at][0]])]
    bare = [at for at in places if at not in set(named) and at != left]
    if len(named) == 1 and len(places) > 1 and (named[0] == left or len(places) > 2):
        raise GridError("a title stands above the names of the columns", ABOVE, 1)
    if bare:
        what = f"{count(len(bare), 'column')} with values and without a name ({lettered(bare[0])} the first)"
        raise GridError(what, f"write the names of the columns into one row; {ABOVE}", 1)
    for (first, start), (final, end) in merged:
        spanned = [
            (row, at) for row in range(max(first, top), min(final, last) + 1) for at in places if start <= at <= end
        ]
        if (final > first or end > start) and any(_some([rows[row][at]]) for row, at in spanned):
            row = spanned[0][0] - top + 1
            raise GridError("cells are merged", "undo it, and write its value into each of the cells", row)
    if cells.uncomputed:  # below the last value too: rows of nothing else would be none
        at = sorted({max(row - top + 1, 1) for row in cells.uncomputed})
        what = f"formulas that were never computed stand in {count(len(at), 'row')} ({first_rows(at)})"
        raise GridError(what, "open the workbook in a spreadsheet program and save it", at[0])
    names = [written(columns[at][0]).strip('"').strip() for at in places]
    refuse_repeated(names)
    notes = (*notes, *_doubts(cells, dict(zip(places, names, strict=True)), top, last))
    body = {name: column_of(columns[at][1:], form) for name, at in zip(names, places, strict=True)}
    long = [name for name, own in body.items() if own.dtype != object and (np.abs(own[~np.isnan(own)]) >= LONG).any()]
    if long:
        what = f"column '{long[0]}' holds numbers of more than fifteen digits, of which a spreadsheet keeps fifteen"
        notes = (*notes, Note(what, "where they are identifiers, write them as text", "digits-lost"))
    return Grid(body, last - top, notes)


def _doubts(cells: Cells, names: dict[int, str], top: int, last: int) -> Iterator[Note]:
    """Say what is read that its owner may not mean; `names` maps the place of each column to its name."""
    rows = [row - top + 1 for row in cells.hidden if top < row <= last]
    if rows:
        what = f"{count(len(rows), 'row')} hidden, by a filter perhaps, and read all the same ({first_rows(rows)})"
        yield Note(what, "delete them where they are none of the cohort", "hidden-rows", rows[0])
    hidden = [at for at in names if any(first <= at <= final for first, final in cells.hidden_columns)]
    if hidden:
        what = f"{count(len(hidden), 'column')} hidden, and read all the same ('{names[hidden[0]]}' the first)"
        yield Note(what, "name the columns that are meant, by `columns`", "hidden-columns")
    gap = next((at for at in range(min(names), max(names)) if at not in names), None)
    if gap is not None:
        what = f"column {lettered(gap)} is empty, and what stands on both sides of it is read as one table"
        yield Note(what, "where they are two, move one to a sheet of its own", "tables-side-by-side")
    for at in [own for own in names if min(cells.percents.get(own, top), cells.plain.get(own, top)) > top]:
        what = f"column '{names[at]}' holds percents, read as fractions (25 % as 0.25), beside numbers that are none"
        row = min(cells.percents[at], cells.plain[at]) - top + 1
        yield Note(what, "write all of them in one way", "percents-among-numbers", row)


def _some(cells: Any) -> bool:
    """Tell whether any of the cells is filled."""
    return any(cell is not None and (not isinstance(cell, str) or bool(cell.strip())) for cell in cells)


def _calamine() -> Any:
    try:
        import python_calamine
    except ImportError:
        raise Unsupported('spreadsheets need python-calamine: pip install "chiasm[tables]"') from None
    return python_calamine
