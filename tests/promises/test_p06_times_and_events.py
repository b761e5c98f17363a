"""P6: times at or below zero, missing times, event codes outside the set and a scale that does not fit are found."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import check_values, open_cohort


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("months", "0", "column 'months' must be a time above zero and finite"),
        ("months", "-3.5", "column 'months' must be a time above zero and finite"),
        ("months", "inf", "column 'months' must be a time above zero and finite"),
        ("months", "", "column 'months' is missing"),
        ("months", "never", "column 'months' is not a number"),
        ("months", "12,5", "column 'months' is not a number"),
        ("died", "2", "column 'died' is neither 0 nor 1"),
        ("died", "0.5", "column 'died' is neither 0 nor 1"),
        ("died", "lost", "column 'died' is neither 0 nor 1"),
        ("died", "", "column 'died' is missing"),
    ],
)
def test_one_wrong_cell_is_one_error_with_its_row(cohort_folder, column, value, what):
    cohort_folder.set_cell(12, column, value)
    problems = check_values(cohort_folder.manifest)
    assert [(p.severity, p.row, p.path, p.what) for p in problems] == [("error", 12, "clinical.csv", what)]
    cohort = open_cohort(cohort_folder.manifest)  # predicting still works
    assert np.flatnonzero(~cohort.outcome.known).tolist() == [10]
    assert np.isnan(cohort.outcome.value[10]) and not cohort.outcome.event[10]


def test_cells_wrong_in_one_way_are_one_problem_with_a_count(cohort_folder):
    for row in (30, 4, 17):
        cohort_folder.set_cell(row, "months", "0")
    (problem,) = check_values(cohort_folder.manifest)
    assert problem.row == 4 and problem.what.endswith("in 3 rows (rows 4, 17, 30)")


@pytest.mark.parametrize(
    ("unit", "factor", "flagged"),
    [("months", 1, False), ("months", 365, True), ("Years", 10, True), ("days", 1, True)],
)
def test_a_unit_that_does_not_fit_the_scale_is_flagged(cohort_folder, unit, factor, flagged):
    cohort_folder.edit('unit = "months"', f'unit = "{unit}"')
    frame = cohort_folder.clinical()
    frame["months"] = frame["months"].astype(float) * factor
    cohort_folder.write_clinical(frame)
    found = [p for p in check_values(cohort_folder.manifest) if "is said to be in" in p.what]
    assert [p.severity for p in found] == ["warning"] * flagged


def test_whole_days_are_days(cohort_folder):
    cohort_folder.edit('unit = "months"', 'unit = "days"')
    frame = cohort_folder.clinical()
    frame["months"] = (frame["months"].astype(float) * 5).round() + 1
    cohort_folder.write_clinical(frame)
    assert check_values(cohort_folder.manifest) == []
