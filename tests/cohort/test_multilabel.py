"""Several labels a patient: read with missing cells, checked, and dealt out to folds so that each has its share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.cohort import (
    CohortError,
    Multilabel,
    assigned_folds,
    check_values,
    class_names,
    cohort_from_frames,
    fold_ids,
    holdout,
    synthetic_cohort,
)
from chiasm.cohort.leaks import leaking_columns
from examples import examples


def cohort(value, order=None, **columns):
    n, k = np.shape(value)
    rng = np.random.default_rng(n)
    names = [f"label{i}" for i in range(k)]
    ids = [f"{i:04d}" for i in range(n)]
    patients = pd.DataFrame(value, columns=names, index=ids).assign(**columns)
    frame = pd.DataFrame({"x": rng.normal(size=n), **columns.pop("frame", {})}, index=ids)
    keys = {key: key for key in ("group", "folds") if key in columns}
    patients = patients if order is None else patients.iloc[order]
    return cohort_from_frames(patients, {"m": frame}, Multilabel(tuple(names)), **keys)


def said(whole):
    return [(p.severity, p.what) for p in check_values(whole)]


def labels(n=200, seed=0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=n)
    return np.stack([shared + rng.normal(size=n) > cut for cut in (-0.3, 1, 2, 3)], axis=1).astype(float)


def test_ones_and_truths_in_words_with_missing_cells():
    value = {"a": [1, 0, None, None], "b": ["True", "false", "1.0", None], "c": [True, False, True, None]}
    patients = pd.DataFrame(value, index=list("wxyz"), dtype=object)
    whole = cohort_from_frames(patients, {"m": patients[[]].assign(x=1.5)}, Multilabel(("a", "b", "c")))
    expected = np.array([[1, 1, 1], [0, 0, 0], [np.nan, 1, 1], [np.nan] * 3])
    np.testing.assert_array_equal(whole.outcome.value, expected)
    assert whole.outcome.known.tolist() == [True, True, True, False] and whole.outcome.event is None
    assert class_names(whole.target) == ("a", "b", "c")
    missing = [p for p in whole.findings if "missing" in p.what]
    assert [p.severity for p in missing] == ["warning"] * 3 and "in 2 rows" in missing[0].what


def test_a_label_that_is_neither_is_an_error_without_the_value():
    value = np.tile([0.0, 1.0], (20, 1))
    value[::2] = 1 - value[::2]
    value[3, 0] = 17.25
    problem = check_values(cohort(value))[0]
    assert (problem.severity, problem.what, problem.row) == ("error", "column 'label0' is neither 0 nor 1", 5)
    assert "17" not in str(problem)


@pytest.mark.parametrize("columns", [(), ("a", "a")])
def test_no_label_and_a_label_twice_are_refused(columns):
    with pytest.raises(ValueError, match="each named once"):
        Multilabel(columns)


def test_constant_and_rare_labels():
    value = labels()[:, :2]
    assert said(cohort(value)) == []
    some = np.c_[value, np.zeros(200), np.arange(200) < 3]
    assert said(cohort(some)) == [
        ("warning", "1 label with a single value: 'label2'"),
        ("warning", "1 label that fewer than 5 patients have, or have not: 'label3'"),
    ]
    assert said(cohort(np.c_[np.zeros(200), np.ones(200)])) == [
        ("error", "2 labels with a single value: 'label0', 'label1'")
    ]


def test_a_column_that_gives_one_label_away_is_found():
    value = labels()
    copy = value[:, 2] + 0.1 * np.random.default_rng(1).normal(size=200)
    ids = [f"{i:04d}" for i in range(200)]
    patients = pd.DataFrame(value, columns=list("abcd"), index=ids)
    frame = pd.DataFrame({"x": np.random.default_rng(2).normal(size=200), "copy": copy}, index=ids)
    assert leaking_columns(cohort_from_frames(patients, {"m": frame}, Multilabel(tuple("abcd"))), "m") == ["copy"]
    assert leaking_columns(synthetic_cohort("planted-leak", 200, target="multilabel"), "m2") == ["m2_0"]


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**40), st.floats(0, 0.4), st.randoms(use_true_random=False))
def test_folds_hold_their_share_of_each_label_whatever_the_order_of_the_file(folds, seed, missing, random):
    value = labels(150, seed % 7)
    gone = np.random.default_rng(seed).random(value.shape) < missing
    gone[:, 0] = False
    value[gone] = np.nan
    order = list(range(150))
    random.shuffle(order)
    fold = fold_ids(cohort(value), folds, seed=seed)
    np.testing.assert_array_equal(fold, fold_ids(cohort(value, order=order), folds, seed=seed))
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 8
    for code in (0, 1):
        for column in value.T:
            counts = np.bincount(fold[column == code], minlength=folds)
            # dealing is greedy and promises no bound; a random deal would spread these counts three times as far
            assert counts.max() - counts.min() <= 3 + 0.15 * counts.mean(), (code, counts)


def test_a_rare_label_is_dealt_out_as_evenly_as_it_can_be():
    value = np.c_[labels(300)[:, 0], np.isin(np.arange(300), [5, 6, 7, 200, 201])]
    counts = np.bincount(fold_ids(cohort(value), 5, seed=3)[value[:, 1] == 1], minlength=5)
    assert counts.tolist() == [1] * 5
    held = holdout(cohort(value), 0.2, seed=3)
    assert held[value[:, 1] == 1].sum() == 1 and abs(held.sum() - 60) <= 6


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(0, 2**30))
def test_a_group_is_never_split(seed):
    group = np.random.default_rng(seed).integers(0, 60, 200).astype(str)
    whole = cohort(labels(), group=group)
    for parts in (fold_ids(whole, 4, seed=seed), holdout(whole, 0.25, seed=seed)):
        assert pd.Series(parts).groupby(group).nunique().max() == 1
        assert len(set(parts.tolist())) == (4 if parts.dtype != bool else 2)


def test_a_given_fold_that_skips_a_label_warns_and_one_without_any_stops():
    folds = np.array(list("ABC"))[np.arange(60) % 3]
    value = np.c_[np.arange(60) // 3 % 2, (np.arange(60) // 3 % 2) * (folds != "B")].astype(float)
    whole = cohort(value, folds=folds)
    assert said(whole) == [("warning", "fold 'B' has no patient with label 'label1'")]
    assert [name for name, _, _ in assigned_folds(whole)] == list("ABC")
    value[folds == "B"] = 0
    stopped = cohort(value, folds=folds)
    what = "fold 'B' has no label that some patients have and some have not"
    assert ("error", what) in said(stopped)
    with pytest.raises(CohortError, match=what):
        assigned_folds(stopped)


def test_too_few_of_every_label_for_the_folds_asked_for():
    value = np.c_[np.arange(60) < 3, np.arange(60) < 2].astype(float)
    with pytest.raises(CohortError, match="no label has more than 3 patients with it, or without it, fewer than the 5"):
        fold_ids(cohort(value), 5, seed=0)
    assert len(set(fold_ids(cohort(value), 3, seed=0).tolist())) == 3


def test_the_fingerprint_sees_a_cell():
    value = labels()
    other = value.copy()
    other[7, 1] = np.nan
    assert cohort(value).fingerprint == cohort(value.copy()).fingerprint != cohort(other).fingerprint
