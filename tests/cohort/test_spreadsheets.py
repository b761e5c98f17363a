"""A sheet of a workbook is read by what each cell holds, and what is no table is refused with its row."""

from __future__ import annotations

import datetime
import io
import os
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import CohortError
from chiasm.cohort.dialect import Form
from chiasm.cohort.grid import Grid, column_of
from chiasm.cohort.tables import Table
from chiasm.cohort.text_table import TextTable

HEADER = ["id", "age", "sex"]
ROWS = [["007", 61.5, "m"], ["008", 7, "f"], ["009", None, "m"]]


def book(path: Path, rows: Sequence[Sequence[Any]], *, title: str = "clin", **others: Sequence[Sequence[Any]]) -> Path:
    found = openpyxl.Workbook()
    found.active.title = title
    for name, cells in {title: rows, **others}.items():
        sheet = found[name] if name in found.sheetnames else found.create_sheet(name)
        for row in cells:
            sheet.append(row)
    found.save(path)
    return path


def changed(path: Path, change: Callable[[Any], None], rows: Sequence[Sequence[Any]] = (HEADER, *ROWS)) -> Path:
    book(path, rows)
    found = openpyxl.load_workbook(path)
    change(found.active)
    found.save(path)
    return path


def repacked(path: Path, part: str, change: Callable[[str], str]) -> Path:
    parts = {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()}
    parts[part] = change(parts[part].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    return path


def table(path: Path, **form: Any) -> Table:
    found = Table(path, path.name, Form(**form))
    found.inspect()
    return found


def column(tmp_path: Path, values: Sequence[Any], **form: Any) -> list[Any]:
    rows = [["id", "x"], *([f"p{i}", value] for i, value in enumerate(values))]
    return table(book(tmp_path / "a.xlsx", rows), **form).frame()["x"].tolist()


def refused(path: Path, **form: Any) -> chiasm.Problem:
    with pytest.raises(CohortError) as fault:
        table(path, **form).frame()
    (problem,) = fault.value.problems
    return problem


def test_cells_are_what_they_hold(tmp_path: Path) -> None:
    found = table(book(tmp_path / "a.xlsx", [HEADER, *ROWS]))
    assert found.columns == HEADER and found.texts("id").tolist() == ["007", "008", "009"]
    assert found.frame()["age"].tolist()[:2] == [61.5, 7.0] and pd.isna(found.frame()["age"][2])
    numbers = book(tmp_path / "b.xlsx", [["id", "x"], [7, 0.1], [12.0, 1e-7], [100000000000001, 2]])
    assert table(numbers).texts("id").tolist() == ["7", "12", "100000000000001"]
    assert table(numbers).frame()["x"].tolist() == [0.1, 1e-7, 2.0]


def test_numbers_as_text_obey_the_rules_of_a_csv(tmp_path: Path) -> None:
    assert column(tmp_path, ["1.5", " 2 ", "3"]) == [1.5, 2.0, 3.0]
    assert column(tmp_path, ["1,5", "2,25", "3"]) == [1.5, 2.25, 3.0]
    assert column(tmp_path, ["1,234.5", "2", "3"], decimal=".") == [1234.5, 2.0, 3.0]
    assert column(tmp_path, [1.234, "2,5", 3], decimal=",") == [1.234, 2.5, 3.0]
    assert column(tmp_path, [1.5, 999, "-"], missing=("-", "999"))[0] == 1.5
    assert pd.isna(column(tmp_path, [1.5, 999, "-"], missing=("-", "999"))[1:]).all()
    assert pd.isna(column(tmp_path, [1.5, "NA", "  "])[1:]).all()
    assert column(tmp_path, [True, False, True]) == [True, False, True]


def test_no_sign_in_a_cell_ends_its_row(tmp_path: Path) -> None:
    texts = ["a\rb", "c\nd", "e\r\nf", 'g"h,i', "\\", "#", "'", "\ufeffj", "k" * 40_000]
    grid = Grid({"id": np.array(["", *"abcdefgh"], dtype=object), "w": column_of(texts, Form())}, len(texts))
    read = TextTable(grid.as_csv(), "x", Form(), ("id", "w"))
    assert read.parsed()["w"].tolist() == read.written(["w"])["w"].tolist() == texts
    assert column_of(["a\0b"], Form()).tolist() == ["ab"]
    assert table(book(tmp_path / "a.xlsx", [["id", "w"], ["a", "x\ny"], ["b", "z"]])).frame()["w"].tolist() == [
        "x\ny",
        "z",
    ]


DATES: dict[str, tuple[Any, str]] = {
    "a day": (datetime.date(2020, 1, 31), "2020-01-31"),
    "a moment": (datetime.datetime(2020, 1, 31, 14, 30), "2020-01-31 14:30:00"),
    "a time": (datetime.time(1, 2), "01:02:00"),
    "a duration": (datetime.timedelta(hours=30), "1 days 06:00:00"),
}


@pytest.mark.parametrize("kind", DATES)
def test_dates_and_durations_are_dates(kind: str, tmp_path: Path) -> None:
    value, said = DATES[kind]
    assert column(tmp_path, [value, value]) == [said, said]


def test_dates_count_from_1904_where_the_workbook_says_so(tmp_path: Path) -> None:
    found = openpyxl.Workbook()
    found.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    found.active.append(["id", "x"])
    found.active.append(["a", datetime.date(2020, 1, 31)])
    found.save(tmp_path / "a.xlsx")
    assert table(tmp_path / "a.xlsx").frame()["x"].tolist() == ["2020-01-31"]


def test_cells_of_errors_are_missing_or_an_error_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "a.xlsx"\nid = "id"\n[modalities.m]\nkind = "table"\ncolumns = ["x"]\n'
    )
    for text, findings in (("#N/A", []), ("#DIV/0!", ["numbers-in-text"])):
        book(tmp_path / "a.xlsx", [["id", "x"], *([f"p{i}", i + 0.5] for i in range(11)), ["q", text]])
        problems = chiasm.check_cohort(tmp_path)
        assert [own.finding for own in problems if own.severity == "error"] == findings
        assert [own.row for own in problems if own.severity == "error"] == [13] * len(findings)
    assert pd.isna(column(tmp_path, [1.5, "#DIV/0!"], missing=("#DIV/0!",))[1])


def test_a_formula_counts_by_its_last_value_and_one_without_is_refused(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [["id", "x"], ["a", 1], ["b", "=B2*2"], ["c", 3]])
    problem = refused(path)
    assert "formulas that were never computed stand in 1 row (row 3)" in problem.what and problem.row == 3
    computed = repacked(path, "xl/worksheets/sheet1.xml", lambda text: re.sub(r"<v ?/>", "<v>2</v>", text))
    assert table(computed).frame()["x"].tolist() == [1.0, 2.0, 3.0]
    words = repacked(path, "xl/worksheets/sheet1.xml", lambda text: text.replace('r="B3"', 'r="B3" t="str"'))
    assert table(words).texts("x").tolist() == ["1", "2", "3"]


def test_empty_rows_and_columns_around_a_table_are_none_of_it(tmp_path: Path) -> None:
    def frame_it(sheet: Any) -> None:
        sheet.insert_rows(1, 2)
        sheet.insert_cols(1)
        for row in range(8, 30):
            sheet.cell(row, 3).font = openpyxl.styles.Font(bold=True)
            sheet.cell(row, 3).number_format = "yyyy-mm-dd"

    found = table(changed(tmp_path / "a.xlsx", frame_it))
    assert found.columns == HEADER and len(found) == 3 and found.texts("id").tolist() == ["007", "008", "009"]


NO_TABLES: dict[str, tuple[Callable[[Any], None], str, int | None]] = {
    "a title": (
        lambda sheet: (sheet.insert_rows(1), sheet.__setitem__("A1", "Study of 2024")),
        "a title stands above",
        1,
    ),
    "a column without a name": (lambda sheet: sheet.__setitem__("D3", "late"), r"without a name \(D the first\)", 1),
    "merged cells": (lambda sheet: sheet.merge_cells("A2:A3"), "cells are merged", 2),
    "a merged header": (lambda sheet: sheet.merge_cells("B1:C1"), "without a name|merged", 1),
    "a name twice": (
        lambda sheet: sheet.__setitem__("C1", "age"),
        "column 2 stands twice in the header, in column 3",
        None,
    ),
    "a stray cell": (lambda sheet: sheet.__setitem__("XFD1048576", 1), "cells as far as row 1,048,576", None),
    "nothing": (lambda sheet: sheet.delete_rows(1, 9), "the sheet is empty", None),
}


@pytest.mark.parametrize("kind", NO_TABLES)
def test_what_is_no_table_is_refused(kind: str, tmp_path: Path) -> None:
    change, what, row = NO_TABLES[kind]
    problem = refused(changed(tmp_path / "a.xlsx", change))
    assert re.search(what, problem.what) and problem.row == row and problem.fix


def test_merged_cells_that_are_empty_or_outside_do_no_harm(tmp_path: Path) -> None:
    found = changed(tmp_path / "a.xlsx", lambda sheet: (sheet.merge_cells("E1:F2"), sheet.merge_cells("A8:C9")))
    assert len(table(found)) == 3


def test_one_of_several_filled_sheets_is_read_and_said(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [HEADER, *ROWS], codebook=[["name", "unit"], ["age", "years"]], empty=[])
    (note,) = table(path).findings
    assert note.finding == "several-sheets" and "2 filled sheets" in note.what and "'clin'" in note.what
    named = table(path, sheet="codebook")
    assert named.columns == ["name", "unit"] and named.findings == [] and named.name == "a.xlsx:codebook"
    assert "did you mean 'codebook'" in refused(path, sheet="codebok").fix
    hidden = openpyxl.load_workbook(path)
    hidden["clin"].sheet_state = "hidden"
    hidden.active = 1
    hidden.save(path)
    assert table(path).columns == ["name", "unit"]  # the first that is shown


def test_hidden_rows_are_read_and_said(tmp_path: Path) -> None:
    found = table(changed(tmp_path / "a.xlsx", lambda sheet: setattr(sheet.row_dimensions[3], "hidden", True)))
    (note,) = found.findings
    assert len(found) == 3 and note.finding == "hidden-rows" and note.row == 3


def test_formulas_without_a_value_below_the_last_row_are_refused_too(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [["id", "x"], ["a", 1], ["=A2", "=B2"], ["=A3", "=B3"]])
    problem = refused(path)
    assert "stand in 2 rows" in problem.what and problem.row == 3


def test_hidden_columns_and_tables_side_by_side_are_read_and_said(tmp_path: Path) -> None:
    def hide(sheet: Any) -> None:
        sheet.column_dimensions["B"].hidden = True

    (note,) = table(changed(tmp_path / "a.xlsx", hide)).findings
    assert note.finding == "hidden-columns" and "'age'" in note.what
    side = changed(tmp_path / "b.xlsx", lambda sheet: (sheet.insert_cols(2), sheet.insert_cols(1)))
    found = table(side)
    (note,) = found.findings
    assert note.finding == "tables-side-by-side" and "column C is empty" in note.what and found.columns == HEADER
    assert table(book(tmp_path / "c.xlsx", [HEADER, *ROWS])).findings == []


def test_percents_beside_plain_numbers_are_said(tmp_path: Path) -> None:
    def show(sheet: Any) -> None:
        sheet["B2"].number_format, sheet["B3"].number_format = "0.00%", "0"
        for row in (2, 3, 4):
            sheet[f"C{row}"].number_format = '0.0" %"'

    rows = (["id", "mixed", 2020], ["a", 0.25, 0.5], ["b", 25, 0.25], ["c", 0.5, 0.75])
    found = table(changed(tmp_path / "a.xlsx", show, rows))
    (note,) = found.findings
    assert note.finding == "percents-among-numbers" and "'mixed'" in note.what and note.row == 2
    assert found.frame()["mixed"].tolist() == [0.25, 25.0, 0.5]


def test_sheets_of_one_workbook_are_the_tables_of_a_cohort(tmp_path: Path) -> None:
    n = 12
    clin = [["id", "age", "y"], *([f"p{i:02d}", 50 + i / 2, "ab"[i % 2]] for i in range(n))]
    labs = [["id", "hours", "code", "numeric_value"], *([f"p{i:02d}", h, "K", 4.1] for i in range(n) for h in (0, 5))]
    folds = [["id", "fold"], *([f"p{i:02d}", i // 2 % 2] for i in range(n))]
    book(tmp_path / "study.xlsx", clin, labs=labs, folds=folds)
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "study.xlsx"\nsheet = "clin"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "y"\n'
        '[modalities.age]\nkind = "table"\ncolumns = ["age"]\n'
        '[modalities.labs]\nkind = "events"\ntable = "study.xlsx"\nsheet = "labs"\n'
        '[folds]\ntable = "study.xlsx"\nsheet = "folds"\n'
    )
    assert [own for own in chiasm.check_cohort(tmp_path) if own.severity == "error"] == []
    cohort = chiasm.open_cohort(tmp_path)
    assert cohort.present.all() and sorted(set(cohort.fold)) == ["0", "1"]
    record = cohort.raw("labs")[0]
    assert record["hours"].tolist() == [0, 5] and record["code"].tolist() == ["K", "K"]


def test_a_file_that_is_no_workbook_or_has_a_password_is_one_sentence(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [HEADER, *ROWS])
    whole = path.read_bytes()
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
    for content, what in (
        (ole, "protected by a password"),
        (whole[:-300], "damaged"),
        (whole[: len(whole) // 2], "damaged"),
        (b"id,age\n1,2\n", "no workbook"),
    ):
        path.write_bytes(content)
        assert what in refused(path).what
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("word/document.xml", "<x/>")
    assert "no workbook of Excel" in refused(path).what
    book(path, [HEADER, *ROWS])
    assert "cannot be read" in refused(repacked(path, "xl/worksheets/sheet1.xml", lambda text: text[:900])).what
    book(path, [HEADER, *ROWS])
    assert "definitions" in refused(repacked(path, "xl/workbook.xml", lambda t: "<!DOCTYPE a []>" + t)).what


def test_what_unpacks_without_end_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book(tmp_path / "a.xlsx", [HEADER, *ROWS])
    repacked(path, "xl/worksheets/sheet1.xml", lambda text: text + " " * 70_000_000)
    assert "200 times its size" in refused(path).what
    monkeypatch.setattr("chiasm.cohort.workbook_parts.WORKBOOK_BYTES", 1_000)
    assert "over the limit" in refused(book(path, [HEADER, *ROWS])).what


def test_an_entry_that_unpacks_to_more_than_it_names_is_refused(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [HEADER, *ROWS])
    found = io.BytesIO(path.read_bytes())
    sizes = [member.file_size for member in zipfile.ZipFile(found).infolist() if member.filename.endswith("sheet1.xml")]
    path.write_bytes(found.getvalue().replace(sizes[0].to_bytes(4, "little"), (sizes[0] // 2).to_bytes(4, "little")))
    assert "damaged" in refused(path).what


def test_other_formats_are_refused_with_what_to_do(tmp_path: Path) -> None:
    for suffix in (".xls", ".xlsb", ".ods", ".rds"):
        (tmp_path / f"a{suffix}").write_bytes(b"x")
        assert refused(tmp_path / f"a{suffix}").what == "is not a kind of table that is read"
    assert refused(tmp_path / "a.ods").fix == "save it as .xlsx"
    (tmp_path / "a.csv").write_text("id\n1\n")
    assert "has no sheets" in refused(tmp_path / "a.csv", sheet="x").what
    os.mkfifo(tmp_path / "pipe.xlsx")
    assert "no such file" in refused(tmp_path / "pipe.xlsx").what


def test_digits_that_a_spreadsheet_does_not_keep_are_said(tmp_path: Path) -> None:
    (note,) = table(book(tmp_path / "a.xlsx", [["id", "x"], [1234567890123456, 1]])).findings
    assert note.finding == "digits-lost" and "'id'" in note.what


EXCEL = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
    'Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
    '<sheet name="Auswertung" sheetId="2" state="hidden" r:id="rId2"/><sheet name="Daten &amp; mehr" sheetId="1" '
    'r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    + "".join(
        f'<Relationship Id="{own}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" '
        f'Target="{target}"/>'
        for own, kind, target in (
            ("rId1", "worksheet", "worksheets/sheet1.xml"),
            ("rId2", "worksheet", "worksheets/sheet2.xml"),
            ("rId3", "styles", "styles.xml"),
            ("rId4", "sharedStrings", "sharedStrings.xml"),
        )
    )
    + "</Relationships>",
    "xl/styles.xml": '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs>'
    '<xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
    "xl/sharedStrings.xml": '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<si><t>id</t></si><si><t>sex</t></si><si><t>day</t></si><si><t>x</t></si><si><t>007</t></si>"
    '<si><r><t>ma</t></r><r><t xml:space="preserve">le </t></r></si></sst>',
    "xl/worksheets/sheet1.xml": '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<dimension ref="A1:XFD1048576"/><sheetData>'
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c>'
    '<c r="D1" t="s"><v>3</v></c></row>'
    '<row r="2"><c r="A2" t="s"><v>4</v></c><c r="B2" t="s"><v>5</v></c><c r="C2" s="1"><v>43861</v></c>'
    '<c r="D2"><f>1+1</f><v>2</v></c></row>'
    '<row r="3"><c r="A3"><v>8</v></c><c r="C3" s="1"/><c r="D3"><v>0.30000000000000004</v></c></row>'
    '<row r="9" hidden="1"><c r="A9" s="1"/></row></sheetData></worksheet>',
    "xl/worksheets/sheet2.xml": '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<sheetData/></worksheet>",
}


def test_a_workbook_as_excel_writes_it_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in EXCEL.items():
            packed.writestr(name, '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n' + text)
    found = table(tmp_path / "a.xlsx")
    assert found.texts("id").tolist() == ["007", "8"] and found.findings == []
    assert found.frame()["sex"].tolist()[0] == "male" and found.frame()["day"].tolist()[0] == "2020-01-31"
    assert found.frame()["x"].tolist() == [2.0, 0.1 + 0.2]
    assert table(tmp_path / "a.xlsx", sheet="Daten & mehr").columns == ["id", "sex", "day", "x"]
    assert "the sheet is empty" in refused(tmp_path / "a.xlsx", sheet="Auswertung").what
