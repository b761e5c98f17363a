"""The supplement of a paper as a spreadsheet: every table of the page a sheet, and all measures in full precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.artifact import whole_file
from chiasm.evaluation import Trial
from chiasm.metrics.scores import METRICS
from chiasm.report.page import render
from chiasm.report.page_tables import Percent, tables_of
from chiasm.report.wording import better
from chiasm.shown import visible

NEEDS = 'a spreadsheet needs openpyxl: pip install "chiasm[report]"'
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a program may take a text for a formula."""
LONGEST_NAME = 31  # characters of the name of a sheet
WIDEST = 48  # characters of a column that are shown
Cell = float | int | str | Percent | None


@dataclass(frozen=True)
class Sheet:
    """A sheet: its name, what it holds in a sentence, the headings of its columns, and its rows."""

    name: str
    told: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def write_supplement(trial: Trial, path: Path) -> Path:
    """Write every table of a trial's page as a spreadsheet, with the measures and folds in full precision beside them.

    The first sheet says what the others hold. Numbers are numbers, shares too; an interval has columns of its own. Text
    that a spreadsheet could take for a formula is stored as text.

    Args:
        path: the `.xlsx` file; it is written whole or not at all, and replaces an older one.

    Raises:
        ModuleNotFoundError: openpyxl is not installed.
    """
    try:
        import openpyxl  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise ModuleNotFoundError(NEEDS) from None
    book = openpyxl.Workbook()
    book.remove(book.active)
    for sheet in sheets_of(trial):
        _fill(book.create_sheet(sheet.name), sheet)
    with whole_file(path) as staging:
        book.save(staging)
    return path


def sheets_of(trial: Trial) -> list[Sheet]:
    """List the sheets: what they are, all measures, all folds, and every table of the page in its order."""
    found = [measure_sheet(trial), fold_sheet(trial)]
    names = {sheet.name.lower() for sheet in found} | {"contents"}
    for table in tables_of(render(trial)):
        headings, rows = table.columns()
        told = ", ".join(f"'{part}'" for part in (table.section, table.part) if part)
        name = named(table.name or table.part or table.section, names)
        found.append(Sheet(name, f"The page's section {told}", headings, rows))
    document = trial.document
    lines: list[list[Cell]] = [[sheet.name, sheet.told] for sheet in found]
    more: list[list[Cell]] = [
        ["", ""],
        ["cohort", str(document["cohort"]["name"])],
        ["patients", int(document["cohort"]["patients"])],
        ["fingerprint of cohort, recipes, protocol and seed", str(document.get("settings", ""))],
        [
            "masked",
            "a count of 1 to 4 patients, or one from which it would follow, in table one and by site, and the outcomes "
            "of a pattern of so few; in a subgroup or a scored site '<5'. How many have a modality or a pattern, the "
            "flow and the sizes of classes are told as they are",
        ],
        ["not estimable", "too few patients, events or folds for a number"],
    ]
    more += [[f"version of {name}", str(version)] for name, version in document["versions"].items()]
    return [Sheet("Contents", "", ["sheet", "what it holds"], [*lines, *more]), *found]


def measure_sheet(trial: Trial) -> Sheet:
    """Every measure of every recipe with its interval, as in `trial.json`; blank where it is not estimable."""
    metrics = {metric.id: metric for metric in METRICS[trial.kind]}
    rows: list[list[Cell]] = [
        [
            str(row["name"]), str(row["family"]), str(row.get("side", "")), name,
            metrics[name].label if name in metrics else name,
            better(metrics[name]) if name in metrics else "",
            own["mean"], own["low"], own["high"],
        ]
        for row in trial.document["recipes"]
        for name, own in row["metrics"].items()
    ]  # fmt: skip
    told = "Every measure of every recipe in full precision: mean over folds and 95 % interval, given the fitted models"
    headings = ["recipe", "family", "side", "measure", "label", "how it is read", "mean", "low", "high"]
    return Sheet("All measures", told, headings, rows)


def fold_sheet(trial: Trial) -> Sheet:
    """Every recipe in every test fold."""
    keys = ("repeat", "fold", "n_train", "n_test", "value", "inner", "seconds", "trained_parameters")
    rows: list[list[Cell]] = [
        [str(row["name"]), str(row["metric"]), *(_cell(fold.get(key)) for key in keys)]
        for row in trial.document["recipes"]
        for fold in row["folds"]
    ]
    told = "Every recipe in every test fold: the primary measure there and on inner folds, time, trained parameters"
    return Sheet("All folds", told, ["recipe", "measure", *keys], rows)


def named(name: str, taken: set[str]) -> str:
    """Make the name of a sheet: short, without signs that are refused, and its own; it is added to those `taken`."""
    plain = "".join(" " if sign in "[]:*?/\\'" else sign for sign in visible(name).removesuffix("-table"))
    plain = plain.replace("-", " ").strip() or "table"
    for number in range(1, len(taken) + 2):
        ending = "" if number == 1 else f" {number}"
        own = plain[: LONGEST_NAME - len(ending)] + ending
        if own.lower() not in taken:
            break
    taken.add(own.lower())
    return own


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, int | float) else str(value)


def _fill(page: Any, sheet: Sheet) -> None:
    """Fill a sheet of openpyxl: bold headings that stay in view, and every text stored as text."""
    from openpyxl.styles import Font  # type: ignore[import-untyped]
    from openpyxl.utils import get_column_letter  # type: ignore[import-untyped]

    widths = [len(text) for text in sheet.headings]
    for row, cells in enumerate([list(sheet.headings), *sheet.rows], start=1):
        for column, value in enumerate(cells, start=1):
            if value is None or value == "":
                continue
            cell = page.cell(row, column)
            if isinstance(value, Percent):
                cell.value, cell.number_format = value.share, "0%"
            elif isinstance(value, str):
                cell.value = visible(value)
                cell.data_type = "s"  # openpyxl takes what begins with an equals sign for a formula
                cell.quotePrefix = value.startswith(FORMULA)
            else:
                cell.value = value
            if row == 1:
                cell.font = Font(bold=True)
            elif column <= len(widths):
                widths[column - 1] = max(widths[column - 1], len(str(value)) if isinstance(value, str) else 8)
    for column, width in enumerate(widths, start=1):
        page.column_dimensions[get_column_letter(column)].width = min(width + 2, WIDEST)
    page.freeze_panes = "A2"
