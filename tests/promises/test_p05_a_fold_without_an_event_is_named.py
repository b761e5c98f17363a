"""P5: a fold without an event or a class stops, with the fold named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import (
    Classification,
    CohortError,
    Survival,
    assigned_folds,
    check_values,
    cohort_from_frames,
    fold_ids,
)


def cohort(target, n=30, **columns):
    ids = [f"{i:02d}" for i in range(n)]
    table = {"days": np.arange(1.0, n + 1), "died": np.arange(n) % 2, "stage": np.array(list("abc"))[np.arange(n) % 3]}
    patients = pd.DataFrame({**table, **columns}, index=ids)
    keys = {key: key for key in ("group", "folds") if key in columns}
    return cohort_from_frames(
        patients, {"x": patients[["days"]].rename(columns={"days": "size"}) ** 0.5}, target, **keys
    )


def test_a_given_fold_without_an_event():
    folds = np.array(list("ABC"))[np.arange(30) // 10]
    died = np.where(folds == "B", 0, np.arange(30) % 2)
    whole = cohort(Survival("days", "died"), died=died, folds=folds)
    with pytest.raises(CohortError, match=r"^fold 'B' has no event; "):
        assigned_folds(whole)
    assert [p.what for p in check_values(whole) if p.severity == "error"] == ["fold 'B' has no event"]


def test_a_given_fold_without_a_class():
    folds = np.array(list("ABC"))[np.arange(30) // 10]
    stage = np.where(folds == "C", "a", np.array(list("abc"))[np.arange(30) % 3])
    whole = cohort(Classification("stage"), stage=stage, folds=folds)
    errors = [p.what for p in check_values(whole) if p.severity == "error"]
    assert errors == ["fold 'C' has no class 'b'", "fold 'C' has no class 'c'"]
    with pytest.raises(CohortError, match="fold 'C' has no class 'b'"):
        assigned_folds(whole)


def test_all_events_in_one_fold_leave_none_to_train_on():
    folds = np.array(list("AB"))[np.arange(30) // 15]
    whole = cohort(Survival("days", "died"), died=(folds == "A").astype(int), folds=folds)
    with pytest.raises(CohortError) as refused:
        assigned_folds(whole)
    assert [p.what for p in refused.value.problems] == [
        "no event is left to train on outside fold 'A'",
        "fold 'B' has no event",
    ]


def test_too_few_members_for_the_folds_asked_for():
    died = np.zeros(30, dtype=int)
    died[:3] = 1
    with pytest.raises(CohortError, match=r"^3 events, fewer than the 5 folds; use fewer folds"):
        fold_ids(cohort(Survival("days", "died"), died=died), 5, seed=0)
    stage = np.array(["a"] * 28 + ["rare"] * 2)
    with pytest.raises(CohortError, match=r"^class 'rare' has 2 patients, fewer than the 5 folds"):
        fold_ids(cohort(Classification("stage"), stage=stage), 5, seed=0)


def test_groups_that_hold_all_events_name_the_fold_that_has_none():
    died = (np.arange(30) < 6).astype(int)
    group = np.where(np.arange(30) < 6, "ward", np.arange(30).astype(str))
    with pytest.raises(CohortError, match=r"fold '\d' has no event"):
        fold_ids(cohort(Survival("days", "died"), died=died, group=group), 3, seed=0)


def test_fewer_groups_than_folds():
    group = np.array(["a", "b"])[np.arange(30) // 15]
    with pytest.raises(CohortError, match=r"^2 groups, fewer than the 3 folds"):
        fold_ids(cohort(Survival("days", "died"), group=group), 3, seed=0)
