"""The supplement: every table of the page a sheet, numbers as numbers, and no text that runs as a formula."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from sklearn.metrics import roc_auc_score

import chiasm
from chiasm.evaluation import Protocol, Trial
from chiasm.report import write_report
from chiasm.report.drawing import Picture
from chiasm.report.page_tables import Percent, divided, tables_of
from chiasm.report.supplement import _fill, fold_sheet, named, write_supplement
from fake_trials import synthetic_trial
from html_page import Page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, Page, Any]:
    """A trial from its folder, its page and its supplement."""
    folder = tmp_path_factory.mktemp("run") / "run"
    synthetic_trial("classification", n=120, protocol=Protocol(folds=2, repeats=1, draws=100), out=folder)
    trial = chiasm.load_trial(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picture, "source", "data:image/svg+xml;base64,")
        page = Page(write_report(trial, folder / "report.html"))
        book = openpyxl.load_workbook(write_supplement(trial, folder / "supplement.xlsx"))
    return trial, page, book


def rows_of(book: Any, name: str) -> list[tuple[Any, ...]]:
    return list(book[name].iter_rows(min_row=2, values_only=True))


def test_every_table_of_the_page_is_a_sheet_and_is_listed(made: tuple[Trial, Page, Any]) -> None:
    _, page, book = made
    full = {name: rows for name, rows in page.tables.items() if len(rows) > 1}
    assert len(book.sheetnames) == 3 + len(full) and len(full) > 8
    listed = [row[0] for row in rows_of(book, "Contents")]
    assert listed[: len(book.sheetnames) - 1] == book.sheetnames[1:]
    for name in ("characteristics", "inventory", "recipe", "contrast", "pattern", "measure"):
        assert len(rows_of(book, name)) == len([row for row in full[f"{name}-table"] if row]) - heads(page, name), name


def heads(page: Page, name: str) -> int:
    """Rows of the head of a table."""
    own = page.source[page.source.index(f'id="{name}-table"') :]
    return own[: own.index("</thead>")].count("<tr>")


def test_all_measures_are_those_of_the_document(made: tuple[Trial, Page, Any]) -> None:
    trial, _, book = made
    stored = {
        (row["name"], name): (own["mean"], own["low"], own["high"])
        for row in trial.document["recipes"]
        for name, own in row["metrics"].items()
    }
    found = {(row[0], row[3]): row[6:9] for row in rows_of(book, "All measures")}
    assert list(found) == list(stored) and len(found) > 20
    for key, values in stored.items():
        for own, value in zip(found[key], values, strict=True):  # a spreadsheet keeps sixteen digits
            assert own is None if value is None else own == pytest.approx(value, rel=1e-14), key


def test_the_primary_measure_follows_from_the_predictions(made: tuple[Trial, Page, Any]) -> None:
    """In full precision in the sheet of folds, and rounded in the sheet of the page's table."""
    trial, _, book = made
    outcome = trial.outcomes["value"]
    column = next(name for name in trial.predictions if name == "p_1")
    for row in rows_of(book, "recipe"):
        name = row[0].split(", ")[0]
        own = trial.predictions[trial.predictions["recipe"] == name]
        scores = {fold: roc_auc_score(outcome.loc[part["patient"]], part[column]) for fold, part in own.groupby("fold")}
        assert row[1] == pytest.approx(np.mean(list(scores.values())), abs=5.1e-4), name
        folds = {one[3]: one[6] for one in rows_of(book, "All folds") if one[0] == name}
        assert folds == pytest.approx(scores), name


def test_numbers_are_numbers_and_shares_are_shares(made: tuple[Trial, Page, Any]) -> None:
    trial, _, book = made
    (first, *_) = rows_of(book, "modalities")
    total = trial.document["cohort"]["patients"]
    present = trial.document["cohort"]["modalities"][first[0]]["present"]
    assert first[2] == present and first[3] == pytest.approx(present / total, abs=5.1e-3)
    assert book["modalities"].cell(2, 4).number_format == "0%"
    assert divided("1,234.5", "") == [1234.5] and divided("<1 %", "") == ["<1 %"]
    assert divided("0.5 (-0.1 to 1,000)", "interval") == [0.5, -0.1, 1000]
    assert divided("12 (30 %)", "share") == [12, Percent(0.3)]
    assert divided("not estimable", "interval") == ["not estimable", "", ""]


def test_no_text_runs_as_a_formula(made: tuple[Trial, Page, Any], tmp_path: Path) -> None:
    trial = made[0]
    evil = ["=1+1", "+SUM(A1)", "-2+3", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0", "plain"]
    recipes = [
        {**row, "name": name} for row, name in zip([trial.document["recipes"][0]] * len(evil), evil, strict=True)
    ]
    cohort = {**trial.document["cohort"], "name": evil[0]}
    sheet = fold_sheet(replace(trial, document={**trial.document, "recipes": recipes, "cohort": cohort}))
    book = openpyxl.Workbook()
    _fill(book.active, sheet)
    book.save(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as file:
        xml = file.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in xml and "<f " not in xml
    read = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    found = {str(read.cell(row, 1).value): read.cell(row, 1) for row in range(2, read.max_row + 1)}
    assert len(found) == len(evil) and all(cell.data_type == "s" for cell in found.values())
    assert [text for text, cell in found.items() if not cell.quotePrefix] == ["plain"]


def test_names_of_sheets_are_allowed_short_and_their_own() -> None:
    taken: set[str] = set()
    first, second = (named("What was [checked]: all/of it, and more", taken) for _ in range(2))
    assert first != second and all(len(name) <= 31 and not re.search(r"[\[\]:*?/\\]", name) for name in (first, second))


def test_headings_over_several_columns_stand_above_each() -> None:
    page = (
        "<h2>3. A</h2><table id='t'><thead><tr><th rowspan='2'>x</th><th colspan='2'>over</th></tr>"
        "<tr><th>a</th><th>b <small>way</small></th></tr></thead>"
        "<tbody><tr><th>r <small>under</small></th>"
        "<td class='number'>1</td><td class='number'>0.5 (0.1 to 0.9)</td></tr></tbody></table>"
    )
    (table,) = tables_of(page)
    assert (table.section, table.rows) == ("A", [["r, under", "1", "0.5 (0.1 to 0.9)"]])
    assert table.columns()[0] == ["x", "over: a", "over: b way", "over: b way low", "over: b way high"]


def test_names_that_look_like_numbers_stay_names() -> None:
    (table,) = tables_of(
        '<table><thead><tr><th>modality</th><th>version</th><th class="number">n</th></tr></thead><tbody>'
        '<tr><th scope="row">007</th><td>2.10</td><td class="number">12 (30 %)</td></tr></tbody></table>'
    )
    assert table.columns() == (["modality", "version", "n", "n share"], [["007", "2.10", 12, Percent(0.3)]])


def test_the_name_of_a_supplement_says_what_it_is(made: tuple[Trial, Page, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.xlsx"):
        chiasm.write_supplement(made[0], tmp_path / "supplement.csv")
