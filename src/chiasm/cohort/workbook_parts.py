"""The parts of a spreadsheet file, unpacked within limits and looked through before anything lays out its cells.

A spreadsheet is a ZIP of XML. A few bytes can unpack to gigabytes, and one stray cell in the last corner spans
seventeen billion; so every part is unpacked within a limit, and the rectangle of a sheet's filled cells is told from
its XML. What is read afterwards is what was looked through, and not the file.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from chiasm.limits import (
    BOMB_RATIO,
    MEGABYTE,
    SHEET_CELLS,
    WORKBOOK_BYTES,
    WORKBOOK_PARTS,
    LimitError,
)

OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # an .xls, or a workbook with a password
AGAIN = "save it again as .xlsx"
READ = (".xml", ".rels")
BOMB_START = 64 * MEGABYTE  # up to here a workbook may unpack to any multiple of its size
FILLED = re.compile(rb"<(?:\w+:)?(?:v|t)(?: [^>]*)?>[^<]")
NO_VALUE = {"#N/A"}
PERCENTS = ("9", "10")  # numbers of the formats that are there without being declared


@dataclass
class Cells:
    """What the XML of a sheet says beside its values; rows and columns count from 0 at the first cell of the sheet.

    `errors` maps a place to the error that stands there, as `#DIV/0!`; `uncomputed` are rows of formulas without a
    value, `hidden` rows that are not shown and hold something, `hidden_columns` the first and last of those not shown.
    `percents` and `plain` map a column to its last row with a number that is shown as a percent, or not.
    """

    rows: int = 0
    columns: int = 0
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    uncomputed: list[int] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    percents: dict[int, int] = field(default_factory=dict)
    plain: dict[int, int] = field(default_factory=dict)

    def fill(self, row: int, column: int) -> None:
        """Note a filled cell; raises `LimitError` where the rectangle of all of them grows too large."""
        self.rows, self.columns = max(self.rows, row + 1), max(self.columns, column + 1)
        if self.rows * self.columns > SHEET_CELLS:
            what = f"has cells as far as row {self.rows:,} and column {self.columns:,}, over {SHEET_CELLS:,} in all"
            raise LimitError(what, "delete stray cells, or write the table as Parquet")


def parts_of(path: Path) -> dict[str, bytes]:
    """Unpack the XML parts of a spreadsheet.

    Raises:
        LimitError: it is no ZIP, is damaged, has a password, or unpacks to more than a limit.
    """
    with path.open("rb") as file:
        if file.read(8) == OLD_OFFICE:
            what = "is protected by a password, or is a workbook in the format of before 2007 (.xls)"
            raise LimitError(what, f"{AGAIN}, without a password")
    try:
        with zipfile.ZipFile(path) as packed:
            return dict(_unpacked(packed, path.stat().st_size))
    except LimitError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
        raise LimitError("is no workbook, or is damaged", AGAIN) from None


def _unpacked(packed: zipfile.ZipFile, size: int) -> Iterator[tuple[str, bytes]]:
    members = packed.infolist()
    total = sum(member.file_size for member in members)
    if len(members) > WORKBOOK_PARTS or total > WORKBOOK_BYTES:
        what = f"unpacks to {total / MEGABYTE:,.0f} MB in {len(members):,} parts, over the limit"
        raise LimitError(what, "keep the sheet of the table alone, or write it as Parquet")
    if total > BOMB_START and total > BOMB_RATIO * size:
        raise LimitError(f"unpacks to more than {BOMB_RATIO} times its size, as no table does", "check the file")
    if len({member.filename for member in members}) < len(members):
        raise LimitError("holds a part twice", AGAIN)
    for member in members:
        if member.flag_bits & 1:
            raise LimitError("is protected by a password", f"{AGAIN}, without one")
        if member.filename.lower().endswith(READ):
            data = packed.read(member)  # never more than the size that its entry names
            if b"<!DOCTYPE" in data[:4096] or b"<!ENTITY" in data:
                raise LimitError("holds XML with definitions of its own, as no workbook does", AGAIN)
            yield member.filename, data


def packed_again(parts: dict[str, bytes]) -> io.BytesIO:
    """Return the parts as a ZIP that holds what was looked through and nothing else."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_STORED) as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    found.seek(0)
    return found


def sheets_of(parts: dict[str, bytes]) -> dict[str, str]:
    """Name of each sheet of an .xlsx, in order, to the part that holds its cells; sheets of charts are left out."""
    book = next((name for name in parts if name.lower() == "xl/workbook.xml"), "")
    rels = next((name for name in parts if name.lower() == "xl/_rels/workbook.xml.rels"), "")
    if not book or not rels:
        raise LimitError("is no workbook of Excel", AGAIN)
    targets = {own.get("Id"): own.get("Target", "") for own in _tree(parts[rels]) if _name(own) == "Relationship"}
    found = {}
    for own in _tree(parts[book]).iter():
        if _name(own) == "sheet":
            key = next((value for name, value in own.attrib.items() if name.endswith("}id")), "")
            target = targets.get(key, "")
            part = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
            if part in parts and b"sheetData" in parts[part]:
                found[own.get("name", "")] = part
    return found


def is_filled(part: bytes) -> bool:
    """Tell whether a sheet of an .xlsx has a cell with a value."""
    return FILLED.search(part) is not None


def percent_styles(parts: dict[str, bytes]) -> set[str]:
    """Numbers of the styles of an .xlsx that show a number as a percent: 0.25 as 25 %."""
    part = next((data for name, data in parts.items() if name.lower() == "xl/styles.xml"), None)
    if part is None:
        return set()
    every = list(_tree(part))
    kinds = [own for group in every if _name(group) == "numFmts" for own in group]
    percents = {*PERCENTS, *(own.get("numFmtId") for own in kinds if "%" in own.get("formatCode", ""))}
    styles = [own for group in every if _name(group) == "cellXfs" for own in group]
    return {str(at) for at, own in enumerate(styles) if own.get("numFmtId") in percents}


def xlsx_cells(part: bytes, percents: Collection[str] = ()) -> Cells:
    """Look through the cells of a sheet of an .xlsx; `percents` are the styles of a percent."""
    found, row = Cells(), -1
    for own in _ended(part, "row", "col"):
        if _name(own) == "col":
            if own.get("hidden") in ("1", "true"):
                found.hidden_columns.append((int(own.get("min", 1)) - 1, int(own.get("max", 1)) - 1))
            continue
        row = int(own.get("r", row + 2)) - 1
        column, filled = -1, False
        for cell in own:
            place = cell.get("r")
            row, column = _place(place) if place else (row, column + 1)
            texts = {_name(child): child.text or "" for child in cell}
            if texts.get("v") or "is" in texts:
                filled = True
                found.fill(row, column)
                if cell.get("t") == "e" and texts.get("v", "") not in NO_VALUE:
                    found.errors[row, column] = texts["v"] or ""
                if cell.get("t", "n") == "n":
                    (found.percents if cell.get("s") in percents else found.plain)[column] = row
            elif "f" in texts and cell.get("t") != "str":
                found.uncomputed.append(row)
        if filled and own.get("hidden") in ("1", "true"):
            found.hidden.append(row)
    return found


def _tree(part: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(part)
    except ElementTree.ParseError:
        raise LimitError("is damaged: a part of it is not XML", AGAIN) from None


def _ended(part: bytes, *names: str) -> Iterator[ElementTree.Element]:
    """Yield each element of these names when it is whole, and forget what it held."""
    try:
        for _, own in ElementTree.iterparse(io.BytesIO(part)):
            if _name(own) in names:
                yield own
                own.clear()
    except (ElementTree.ParseError, ValueError, OverflowError):
        raise LimitError("is damaged: a sheet cannot be read", AGAIN) from None


def _name(own: ElementTree.Element) -> str:
    return own.tag.rpartition("}")[2]


def _place(text: str) -> tuple[int, int]:
    """Row and column of a reference such as `AB12`, from 0."""
    letters = text.rstrip("0123456789")
    if not letters.isascii() or not letters.isalpha() or len(letters) > 3 or letters == text:
        raise ValueError
    column = 0
    for letter in letters.upper():
        column = 26 * column + ord(letter) - 64
    return int(text[len(letters) :]) - 1, column - 1
