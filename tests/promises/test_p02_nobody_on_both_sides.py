"""P2: a patient, a group or a site in two partitions raises LeakageError; a repeated content and an alias are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import (
    Classification,
    LeakageError,
    assigned_folds,
    check_values,
    cohort_from_frames,
    fold_ids,
    require_disjoint,
)


def cohort(n=40, **columns):
    rng = np.random.default_rng(0)
    ids = [f"{i:03d}" for i in range(n)]
    patients = pd.DataFrame({"y": np.arange(n) % 2, **columns}, index=ids)
    values = rng.normal(size=(n, 3))
    values[17] = values[4]  # one image, filed twice
    keys = {key: key for key in ("group", "site", "folds") if key in columns}
    frames = {"x": pd.DataFrame(values, index=ids, columns=list("abc"))}
    return cohort_from_frames(patients, frames, Classification("y"), **keys)


def test_a_patient_on_both_sides():
    whole = cohort()
    require_disjoint(whole.subset(np.arange(20)), whole.subset(np.arange(20, 40)))
    with pytest.raises(LeakageError, match=r"^2 patients on both sides of the split"):
        require_disjoint(whole.subset(np.arange(22)), whole.subset(np.arange(20, 40)))


def test_a_group_or_a_site_on_both_sides():
    whole = cohort(group=[f"g{i // 2}" for i in range(40)], site=[f"s{i % 4}" for i in range(40)])
    train, test = whole.subset(np.arange(21)), whole.subset(np.arange(21, 40))
    with pytest.raises(LeakageError, match=r"^1 group on both sides"):
        require_disjoint(train, test)
    train, test = whole.subset(np.arange(20)), whole.subset(np.arange(20, 40))
    require_disjoint(train, test)
    with pytest.raises(LeakageError, match=r"^4 sites on both sides"):
        require_disjoint(train, test, by="site")


def test_a_missing_group_is_shared_with_nobody():
    whole = cohort(group=["", "a"] * 2 + [f"g{i}" for i in range(36)])
    require_disjoint(whole.subset(np.array([0, 1, 3])), whole.subset(np.arange(4, 40)))
    require_disjoint(whole.subset(np.array([0])), whole.subset(np.array([2])))


def test_a_repeated_content_is_warned_of_and_kept_together_when_asked():
    whole = cohort()
    found = [p for p in check_values(whole) if "identical in every modality" in p.what]
    assert [(p.severity, p.row) for p in found] == [("warning", 6)] and "2 patients" in found[0].what
    apart = [seed for seed in range(20) if np.diff(fold_ids(whole, 5, seed=seed)[[4, 17]])[0]]
    assert apart, "without being asked the two fall apart for some seed"
    for seed in apart:
        fold = fold_ids(whole, 5, seed=seed, group_duplicates=True)
        assert fold[4] == fold[17]
    with pytest.raises(LeakageError, match="identical in every modality"):
        require_disjoint(whole.subset(np.arange(10)), whole.subset(np.arange(10, 40)), group_duplicates=True)


def test_an_alias_of_an_identifier_is_warned_of():
    patients = pd.DataFrame({"y": [0, 1, 0, 1]}, index=["007", "7", "abc", "ABC "])
    frame = pd.DataFrame({"v": [1.0, 2.0, 3.0, 4.0]}, index=patients.index)
    found = [
        p for p in check_values(cohort_from_frames(patients, {"x": frame})) if "differs from another only" in p.what
    ]
    assert len(found) == 1 and "4 patients" in found[0].what and found[0].severity == "warning"


def test_given_folds_only_warn_with_a_count():
    groups = [f"g{i // 2}" for i in range(40)]
    folds = ["0" if i < 20 else "1" for i in range(40)]
    assert len(assigned_folds(cohort(group=groups, folds=folds))) == 2
    folds[20] = "0"
    with pytest.warns(UserWarning) as caught:
        assigned_folds(cohort(group=groups, folds=folds))
    assert [str(warning.message) for warning in caught] == [
        f"1 group on both sides of the given fold '{name}': its score is optimistic" for name in "01"
    ]
    problems = [p for p in check_values(cohort(group=groups, folds=folds)) if "groups stand on both sides" in p.what]
    assert [(p.severity, p.what) for p in problems] == [
        ("warning", "groups stand on both sides of the given folds '0' (1), '1' (1)")
    ]
