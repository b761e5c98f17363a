"""The usual codings of an event are read, the others named with what to write; the cause of no outcome comes first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Cohort, Survival, cohort_from_frames

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
