"""Folds: a partition, balanced, deterministic, independent of the file's order, groups whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.cohort import (
    Classification,
    CohortError,
    Regression,
    Survival,
    assigned_folds,
    cohort_from_frames,
    fold_ids,
    holdout,
    synthetic_cohort,
)
from examples import examples

TARGETS = {"class": Classification("y"), "number": Regression("t"), "survival": Survival("t", "y")}


def cohort(kind, n=60, order=None, unknown=0, **columns):
    rng = np.random.default_rng(n)
    ids = np.array([f"{i:03d}" for i in range(n)])
    patients = pd.DataFrame({"y": np.arange(n) % 3 // 2, "t": rng.exponential(10, n), **columns}, index=ids)
    if unknown:
        patients["y"] = patients["y"].where(np.arange(n) >= unknown)
        patients["t"] = patients["t"].where(np.arange(n) >= unknown)
    keys = {key: key for key in ("group", "site", "folds") if key in columns}
    frames = {"x": pd.DataFrame({"v": rng.normal(size=n)}, index=ids)}
    patients = patients if order is None else patients.iloc[order]
    return cohort_from_frames(patients, frames, TARGETS[kind], **keys)


@settings(max_examples=examples(25), deadline=None)
@given(st.sampled_from(sorted(TARGETS)), st.integers(2, 6), st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_folds_depend_on_the_seed_and_not_on_the_order_of_the_file(kind, folds, seed, random):
    order = list(range(60))
    random.shuffle(order)
    fold = fold_ids(cohort(kind), folds, seed=seed)
    np.testing.assert_array_equal(fold, fold_ids(cohort(kind, order=np.array(order)), folds, seed=seed))
    assert set(fold) == set(range(folds))
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= 6
    if kind != "number":
        positives = np.bincount(fold[np.arange(60) % 3 == 2], minlength=folds)
        assert positives.max() - positives.min() <= 3 and positives.min() > 0


def test_another_seed_gives_other_folds():
    assert (fold_ids(cohort("class"), 5, seed=0) != fold_ids(cohort("class"), 5, seed=1)).any()


def test_numbers_and_times_are_spread_over_the_folds():
    for kind in ("number", "survival"):
        whole = cohort(kind, n=300)
        fold = fold_ids(whole, 5, seed=0)
        rank = np.argsort(np.argsort(whole.outcome.value)) / 300
        means = [rank[fold == k].mean() for k in range(5)]
        assert max(means) - min(means) < 0.08, kind


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.integers(0, 19), min_size=60, max_size=60), st.sampled_from(sorted(TARGETS)), st.integers(0, 100))
def test_a_group_is_never_split(groups, kind, seed):
    labels = [f"g{g}" if g else "" for g in groups]  # g0 stands for: not known
    whole = cohort(kind, group=labels)
    try:
        fold = fold_ids(whole, 3, seed=seed)
    except CohortError as refused:
        assert "fold" in str(refused)
    else:
        for label in set(labels) - {""}:
            assert len(set(fold[whole.group == label])) == 1
    held = holdout(whole, 0.3, seed=seed)
    for label in set(labels) - {""}:
        assert len(set(held[whole.group == label])) == 1


def test_patients_without_a_group_are_not_one_group():
    whole = cohort("class", group=["" if i < 30 else f"g{i // 2}" for i in range(60)])
    assert set(fold_ids(whole, 3, seed=0)[:30]) == {0, 1, 2}


def test_sites_and_groups_together():
    group = [f"g{i // 2}" for i in range(60)]
    site = [f"s{(i + 1) // 4}" for i in range(60)]
    whole = cohort("class", group=group, site=site)
    by_group, by_site = fold_ids(whole, 3, seed=0), fold_ids(cohort("class", site=site), 3, seed=0, by="site")
    assert all(len(set(by_group[whole.group == g])) == 1 for g in group)
    assert any(len(set(by_group[whole.site == s])) > 1 for s in site)
    assert all(len(set(by_site[whole.site == s])) == 1 for s in site)
    group[5] = "g0"  # a person seen in two sites ties these together
    tied = cohort("class", group=group, site=[f"s{i // 4}" for i in range(60)])
    both = fold_ids(tied, 3, seed=0, by="site")
    assert len(set(both[:8])) == 1
    assert all(len(set(both[tied.site == s])) == 1 for s in tied.site)


def test_patients_of_unknown_outcome_get_a_fold_and_follow_their_group():
    group = [f"g{i // 2}" for i in range(60)]
    whole = cohort("class", unknown=5, group=group)
    fold = fold_ids(whole, 4, seed=0)
    assert fold.min() == 0 and fold[4] == fold[5] and fold[0] == fold[1]
    np.testing.assert_array_equal(np.unique(fold_ids(cohort("survival", unknown=50, n=90), 4, seed=0)), range(4))


def test_no_site_no_folds_and_nonsense():
    with pytest.raises(CohortError, match=r"^patients: the cohort has no sites; name the column as `site`"):
        fold_ids(cohort("class"), 3, seed=0, by="site")
    with pytest.raises(CohortError, match=r"^the manifest gives no folds"):
        assigned_folds(cohort("class"))
    with pytest.raises(ValueError, match="at least 2 folds"):
        fold_ids(cohort("class"), 1, seed=0)
    with pytest.raises(ValueError, match="not by 'group'"):
        fold_ids(cohort("class"), 3, seed=0, by="group")


def test_given_folds_test_each_patient_once_and_train_never():
    names = np.array(["b", "a", "train"])[np.arange(60) // 20]
    splits = assigned_folds(cohort("class", folds=names))
    assert [name for name, _, _ in splits] == ["a", "b"]
    for name, train, test in splits:
        assert set(test.tolist()) == set(np.flatnonzero(names == name).tolist())
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(60))


@settings(max_examples=examples(25), deadline=None)
@given(st.sampled_from(sorted(TARGETS)), st.floats(0.05, 0.6), st.integers(0, 1000))
def test_a_holdout_is_stratified_and_of_the_size_asked_for(kind, fraction, seed):
    whole = cohort(kind, n=90, unknown=4)
    held = holdout(whole, fraction, seed=seed)
    np.testing.assert_array_equal(held, holdout(whole, fraction, seed=seed))
    assert not held[:4].any()
    assert abs(held.sum() - fraction * 86) <= 6
    if kind == "class":
        rate = held[whole.outcome.value == 1].mean()
        assert abs(rate - fraction) < 0.06


def test_a_holdout_keeps_a_rare_event_on_both_sides():
    died = np.zeros(60, dtype=int)
    died[[10, 40]] = 1
    whole = cohort("survival", y=died)
    for seed in range(10):
        assert holdout(whole, 0.2, seed=seed)[[10, 40]].sum() == 1


def test_no_generator_is_left_changed():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    fold_ids(synthetic_cohort("unique", 60), 3, seed=0)
    holdout(synthetic_cohort("unique", 60), 0.2, seed=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_real_folds(shared_data):
    from chiasm.cohort import open_cohort

    splits = assigned_folds(open_cohort(shared_data / "tcga-blca" / "cohort.toml"))
    assert [name for name, _, _ in splits] == ["0", "1", "2", "3", "4"]
    assert sum(len(test) for _, _, test in splits) == 373
