"""P10: a recipe that may learn from which modalities a patient has says so, and the page names it."""

from __future__ import annotations

from pathlib import Path

import pytest

import chiasm
from chiasm.cohort import synthetic_cohort
from chiasm.report import write_report
from html_page import Page

PROTOCOL = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
@pytest.mark.usefixtures("ridges")
def test_recipes_that_read_presence_are_named(tmp_path: Path) -> None:
    cohort = synthetic_cohort("complementary", 120, missing=0.3)
    trial = chiasm.evaluate(cohort, ["late-fusion", "early-fusion", "kron-rls"], PROTOCOL, jobs=1)
    page = Page(write_report(trial, tmp_path / "report.html"))
    sentence = next(part for part in page.text.split(". ") if "may learn from which modalities" in part)
    readers = {row["name"] for row in trial.document["recipes"] if row["reads_presence"]} - {"presence"}
    others = {row["name"] for row in trial.document["recipes"]} - readers - {"presence"}
    assert readers and others, "both sorts are in the trial"
    assert all(f"'{name}'" in sentence for name in readers) and not any(f"'{name}'" in sentence for name in others)
    presence = next(row for row in page.tables["recipe-table"] if row[0].startswith("presence"))
    assert presence[0] == "presence reference"
