"""`check` says what each column of a table was read as, on the screen and for machines."""

from __future__ import annotations

import json

import pyreadstat

from cohort_folder import CohortFolder
from command_line import Run


def test_check_says_what_each_column_is(cohort_folder: CohortFolder, run: Run) -> None:
    said = run("check", cohort_folder.manifest)
    assert "clinical is read as 1 number (age), 1 category (sex)" in said.out
    document = json.loads(run("check", cohort_folder.manifest, "--json").out)
    assert document["cohort"]["modalities"]["clinical"]["columns"] == {"age": "number", "sex": "category"}
    assert "columns" not in document["cohort"]["modalities"]["rna"]


def test_a_table_that_cannot_be_read_has_its_problem_and_no_columns(cohort_folder: CohortFolder, run: Run) -> None:
    cohort_folder.set_cell(5, "age", "2026-01-31")
    document = json.loads(run("check", cohort_folder.manifest, "--json").out)
    assert any("'age'" in problem["what"] and problem["severity"] == "error" for problem in document["problems"])


def test_check_says_where_labels_stand_for_codes(cohort_folder: CohortFolder, run: Run) -> None:
    frame = cohort_folder.clinical().assign(sex=lambda x: (x["sex"] == "male").astype(float))
    for name in ("months", "died", "age"):
        frame[name] = frame[name].astype(float)
    pyreadstat.write_sav(frame, cohort_folder.path / "clinical.sav", variable_value_labels={"sex": {1: "m", 0: "f"}})
    cohort_folder.edit("clinical.csv", "clinical.sav")
    said = run("check", cohort_folder.manifest)
    assert (
        "clinical is read as 1 number (age), 1 category (sex)\nclinical holds the labels of the codes in sex"
        in said.out
    )
    document = json.loads(run("check", cohort_folder.manifest, "--json").out)
    assert document["cohort"]["modalities"]["clinical"]["labelled"] == ["sex"]
