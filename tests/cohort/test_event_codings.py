"""The usual codings of an event are read, the others named with what to write; the cause of no outcome comes first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Survival, cohort_from_frames
from lighter_trials import ridges_by_day

N = 30
HAPPENED = np.arange(N) % 3 == 0
CODINGS = [("yes", "no"), ("Y", "N"), ("T", "F"), ("dead", "alive"), ("Deceased", "Living"), ("1:DECEASED", "0:LIVING")]


def cohort(coding: tuple[object, object], target: Survival) -> Cohort:
    ids = [f"p{k:02d}" for k in range(N)]
    patients = pd.DataFrame({"days": np.arange(1.0, N + 1), "status": np.where(HAPPENED, *coding)}, index=ids)
    return cohort_from_frames(patients, {"labs": pd.DataFrame({"x": np.arange(N) * 1.5}, index=ids)}, target)


@pytest.mark.parametrize("coding", [*CODINGS, (True, False), (1, 0), (1.0, 0.0)], ids=str)
def test_usual_codings_are_read(coding: tuple[object, object]) -> None:
    found = cohort(coding, Survival("days", "status"))
    assert found.outcome is not None and found.outcome.event is not None and not found.findings
    assert found.outcome.event.tolist() == HAPPENED.tolist()


@pytest.mark.parametrize("coding", [("dead", "alive"), ("Deceased", "Living")])
def test_dead_is_no_censoring(coding: tuple[str, str]) -> None:
    found = cohort(coding, Survival("days", censored="status"))
    assert "neither 0 nor 1" in found.findings[0].what and found.findings[-1].finding == "no-outcome"


def test_r_s_coding_is_named_and_comes_before_what_follows_from_it() -> None:
    found = cohort((2, 1), Survival("days", "status")).findings
    assert "R writes 1 for censored and 2 for happened" in found[0].fix and found[0].row == 2
    assert found[-1].finding == "no-outcome"


def followed(days: list[int], status: list[int]) -> Cohort:
    """Patients of whom some have no time, and some no status."""
    random = np.random.default_rng(0)
    ids = [f"p{k:02d}" for k in range(N)]
    patients = pd.DataFrame(
        {"days": random.exponential(100.0, N) + 1, "status": np.where(HAPPENED, 1.0, 0.0)}, index=ids
    )
    patients.iloc[days, 0] = np.nan
    patients.iloc[status, 1] = np.nan
    labs = pd.DataFrame({"x": random.normal(size=N), "z": random.normal(size=N)}, index=ids)
    return cohort_from_frames(patients, {"labs": labs}, Survival("days", "status"))


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
def test_patients_without_an_outcome_are_a_warning_and_are_left_aside() -> None:
    cohort = followed([3, 7], [3, 7])
    (problem,) = chiasm.check_cohort(cohort)
    assert (problem.severity, problem.row, problem.finding) == ("warning", 5, "unknown-outcome")
    assert problem.what == "columns 'days' and 'status' are missing in 2 rows (rows 5, 9)"
    assert "neither trained on nor tested" in problem.fix
    assert cohort.outcome is not None and np.flatnonzero(~cohort.outcome.known).tolist() == [3, 7]
    known = cohort.subset(np.delete(np.arange(N), [3, 7]))
    protocol = chiasm.Protocol(folds=3, repeats=1, draws=100)
    with ridges_by_day():
        trials = [chiasm.evaluate(own, ["single:labs"], protocol, jobs=1) for own in (cohort, known)]
    columns = ["recipe", "metric", "mean", "low", "high"]
    pd.testing.assert_frame_equal(*(own.table()[columns] for own in trials))


def test_half_an_outcome_is_an_error() -> None:
    """Who died, but not when: without a word, the patient would be lost to the comparison."""
    found = followed([3, 7, 8], [3, 9, 10]).findings
    assert [(own.severity, own.row) for own in found] == [("warning", 5), ("error", 9), ("error", 11)]
    assert found[1].what == "column 'days' is missing in 2 rows (rows 9, 10)"
    assert found[1].fix == "fill it in, or empty 'status' too: the patient is then neither trained on nor tested"
    assert found[2].what == "column 'status' is missing in 2 rows (rows 11, 12)"


def test_nobody_with_an_outcome_is_one_error() -> None:
    everybody = list(range(N))
    (problem,) = followed(everybody, everybody).findings
    assert (problem.severity, problem.finding) == ("error", "no-outcome")
