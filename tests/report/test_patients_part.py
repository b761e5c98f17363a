"""Flow, table one and inventory on the page: the numbers are those of the cohort, and an older trial goes without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.evaluation import Protocol, Trial
from chiasm.report import write_report
from chiasm.report.drawing import Picture
from chiasm.report.patients import TOO_FEW, patients_part
from fake_trials import FUSED, SINGLES, run
from html_page import Page

N, UNKNOWN = 120, 7


def frames() -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    rng = np.random.default_rng(0)
    ids = [f"p{k:03d}" for k in range(N)]
    grades = rng.choice(["low", "high"], N).astype(object)
    grades[:UNKNOWN] = np.nan
    patients = pd.DataFrame({"grade": grades, "hospital": rng.choice(["north", "south"], N, p=[0.7, 0.3])}, index=ids)
    m1 = pd.DataFrame(rng.normal(size=(N, 2)), index=ids, columns=["age", "crp"])
    return patients, {"m1": m1, "m2": pd.DataFrame(rng.normal(size=(90, 3)), index=ids[:90], columns=list("abc"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, Page]:
    patients, tables = frames()
    cohort = chiasm.cohort_from_frames(patients, tables, chiasm.Classification("grade"), site="hospital", name="two")
    trial = run(cohort, [*SINGLES, FUSED[0]], Protocol(folds=2, repeats=1, draws=100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picture, "source", "data:image/svg+xml;base64,")
        return trial, Page(write_report(trial, tmp_path_factory.mktemp("page") / "report.html"))


def test_table_one_is_that_of_the_patients_used(made: tuple[Trial, Page]) -> None:
    patients, tables = frames()
    used = patients["grade"].notna()
    head, *rows = made[1].tables["characteristics-table"]
    sizes = {"all": used, "high": patients["grade"] == "high", "low": patients["grade"] == "low"}
    assert head[1:] == [f"{name} n = {own.sum()}" for name, own in sizes.items()]
    assert [row[0] for row in rows] == [f"{name} (m1), median (quartiles)" for name in ("age", "crp")] + [
        f"{name} (m2), median (quartiles)" for name in "abc"
    ]
    for row in rows:
        name, table = row[0][0:3].split(" ")[0], row[0][row[0].index("(") + 1 :][:2]
        for cell, own in zip(row[1:], sizes.values(), strict=True):
            values = tables[table][name][own.reindex(tables[table].index)]
            low, middle, high = (float(f"{q:.3g}") for q in np.quantile(values, [0.25, 0.5, 0.75]))
            assert cell == f"{middle:g} ({low:g} to {high:g})"


def test_the_inventory_and_the_sites_are_counted(made: tuple[Trial, Page]) -> None:
    patients, tables = frames()
    used = patients[patients["grade"].notna()]
    page = made[1]
    have = {name: int(used.index.isin(frame.index).sum()) for name, frame in tables.items()}
    found = {row[0]: row for row in page.tables["inventory-table"][1:]}
    assert {name: row[2] for name, row in found.items()} == {
        name: f"{n} ({100 * n / len(used):.0f} %)" for name, n in have.items()
    }
    assert found["m2"][3:] == ["3", "0", "0 %", f"{have['m2']} (100 %)"]
    sites = used["hospital"].value_counts()
    assert [row[1] for row in page.tables["site-presence-table"][1:]] == [str(n) for n in sites]
    assert "north" not in page.source and "site 1" in page.text


def test_the_flow_is_told_to_who_cannot_see_it(made: tuple[Trial, Page]) -> None:
    (told,) = [image["alt"] for image in made[1].images if image["alt"].startswith("Flow of patients")]
    for step in (
        f"{N} patients in the table; {N - UNKNOWN} with a known outcome ({UNKNOWN} left out: outcome unknown)",
        f"{N - UNKNOWN} with a modality; m1: {N - UNKNOWN}, m2: {90 - UNKNOWN}, every modality: {90 - UNKNOWN}",
        f"{N - UNKNOWN} tested in 2 folds",
    ):
        assert step in told, step


def test_a_trial_of_before_has_a_page_without(made: tuple[Trial, Page], tmp_path: Path) -> None:
    document = {key: value for key, value in made[0].document.items() if key != "description"}
    old = replace(made[0], document=document)
    assert patients_part(old) is None
    assert "characteristics-table" not in Page(write_report(old, tmp_path / "old.html")).tables


def test_what_is_masked_says_so(made: tuple[Trial, Page]) -> None:
    trial = made[0]
    stored: Any = trial.document["description"]
    groups = [{"name": "all", "patients": 20}, {"name": "high", "patients": 8}]
    column = {"modality": "m", "column": "x", "known": [20, None], "missing": [0, 0]}
    columns = [
        {**column, "kind": "number", "quartiles": [[1, 2, 3], None]},
        {**column, "kind": "levels", "levels": [{"name": "yes", "patients": [12, None]}]},
    ]
    described = {"groups": groups, "columns": columns, "not_described": {"m": {"date": 2}}}
    part = patients_part(
        replace(trial, document={**trial.document, "description": {**stored, "characteristics": described}})
    )
    assert part is not None and part.characteristics.headings[2].note == "n = 8"
    assert [row[1:] for row in part.characteristics.rows] == [["2 (1 to 3)", TOO_FEW], ["12 (60 %)", "masked"]]
    assert part.said.endswith("Not described: m: 2 date columns.")
