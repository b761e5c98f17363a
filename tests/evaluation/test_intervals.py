"""One bootstrap for a trial: same counts in every repeat, sizes of folds kept, means within folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.evaluation.estimates import Estimate, estimate, mean_over_folds, percentile_interval
from chiasm.evaluation.intervals import (
    TestFold,
    bootstrap_weights,
    patient_draws,
    trial_differences,
    trial_estimable,
    trial_scores,
)
from chiasm.metrics.classification import auroc
from chiasm.targets import Outcome

N, K = 90, 3


def trial(repeats: int = 2, groups: np.ndarray | None = None) -> tuple[list[TestFold], np.ndarray, Outcome]:
    rng = np.random.default_rng(0)
    truth = Outcome((np.arange(N) % 2).astype(float), None, np.ones(N, dtype=bool))
    folds = []
    for repeat in range(repeats):
        units = np.arange(N) if groups is None else groups
        fold_of = rng.permutation(units.max() + 1)[units] % K
        for k in range(K):
            rows = np.flatnonzero(fold_of == k)
            mine = None if groups is None else groups[rows].astype(str)
            folds.append(TestFold(repeat, str(k), rows, truth.take(rows), truth.take(fold_of != k), mine))
    p = np.clip(0.3 * truth.value + 0.7 * rng.random(N), 0.01, 0.99)
    return folds, p, truth


def frames(folds: list[TestFold], p: np.ndarray) -> list[pd.DataFrame]:
    return [pd.DataFrame({"p_0": 1 - p[f.patients], "p_1": p[f.patients]}) for f in folds]


def test_counts_are_a_bootstrap() -> None:
    counts = bootstrap_weights(50, 4000, np.random.default_rng(0))
    assert counts.shape == (4000, 50) and (counts.sum(axis=1) == 50).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.1)
    np.testing.assert_allclose(counts.var(axis=0).mean(), 1 - 1 / 50, atol=0.02)
    assert bootstrap_weights(0, 3, np.random.default_rng(0)).shape == (3, 0)


def test_same_seed_same_draws_and_the_global_generator_is_left_alone() -> None:
    folds, _, _ = trial()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (patient_draws(folds, N, 20, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_order_of_the_folds_does_not_matter() -> None:
    folds, _, _ = trial()
    np.testing.assert_array_equal(patient_draws(folds, N, 20, 0), patient_draws(folds[::-1], N, 20, 0))


def test_folds_of_the_first_repeat_keep_their_size_and_later_repeats_reuse_the_counts() -> None:
    folds, _, _ = trial()
    draws = patient_draws(folds, N, 50, 0)
    for fold in folds[:K]:
        assert (draws[:, fold.patients].sum(axis=1) == len(fold.patients)).all()
    later = np.stack([draws[:, fold.patients].sum(axis=1) for fold in folds[K:]])
    assert (later.sum(axis=0) == N).all() and later.std() > 0
    np.testing.assert_array_equal(patient_draws(folds[:K], N, 50, 0), draws)


def test_patients_tested_later_only_are_drawn_then_and_those_never_tested_not_at_all() -> None:
    truth = Outcome(np.zeros(30), None, np.ones(30, dtype=bool))
    rows = [np.arange(0, 10), np.arange(5, 20)]
    folds = [TestFold(repeat, "0", r, truth.take(r), truth) for repeat, r in enumerate(rows)]
    draws = patient_draws(folds, 30, 40, 0)
    assert (draws[:, :10].sum(axis=1) == 10).all() and (draws[:, 10:20].sum(axis=1) == 10).all()
    assert not draws[:, 20:].any()


def test_groups_move_together_over_all_repeats() -> None:
    groups = np.arange(N) // 3
    folds, _, _ = trial(groups=groups)
    draws = patient_draws(folds, N, 50, 0)
    np.testing.assert_array_equal(draws, draws[:, (groups * 3)])


def test_the_trial_is_the_mean_over_folds_never_pooled() -> None:
    folds, p, truth = trial(repeats=1)
    shifted = p.copy()
    shifted[folds[0].patients] = p[folds[0].patients] / 5  # another scale in one fold: ranks within it are the same
    draws = patient_draws(folds, N, 100, 0)
    same, moved = (trial_scores("classification", folds, frames(folds, q), ("0", "1"), draws) for q in (p, shifted))
    assert same["auroc"] == moved["auroc"]
    pooled = auroc(np.c_[1 - shifted, shifted], truth.value)[0]
    assert moved["auroc"].mean != pytest.approx(pooled, abs=1e-3)
    within = [auroc(np.c_[1 - p, p][f.patients], f.outcome.value)[0] for f in folds]
    assert same["auroc"].mean == pytest.approx(np.mean(within))
    assert same["auroc"].low < same["auroc"].mean < same["auroc"].high


def test_repeats_of_the_same_models_change_no_interval() -> None:
    """Five identical repeats hold no more patients than one: the interval must not shrink."""
    folds, p, _ = trial(repeats=1)
    many = [TestFold(r, f.fold, f.patients, f.outcome, f.train) for r in range(5) for f in folds]
    results = [
        trial_scores("classification", f, frames(f, p), ("0", "1"), patient_draws(f, N, 100, 0), ["auroc"])["auroc"]
        for f in (folds, many)
    ]
    assert [results[0].mean, results[0].low, results[0].high] == pytest.approx(
        [results[1].mean, results[1].low, results[1].high], abs=1e-12
    )


def test_differences_use_the_same_draw_for_both_sides() -> None:
    folds, p, _ = trial()
    draws = patient_draws(folds, N, 100, 0)
    ours, worse = frames(folds, p), frames(folds, np.random.default_rng(9).random(N))
    zero = trial_differences("classification", folds, ours, ours, ("0", "1"), draws)
    assert not np.any(zero[0]) and not np.any(zero[1])
    gain, drawn = trial_differences("classification", folds, ours, worse, ("0", "1"), draws)
    by_hand = [
        np.subtract(*(auroc(frame, f.outcome.value, draws[:, f.patients]) for frame in pair))
        for f, *pair in zip(folds, ours, worse, strict=True)
    ]
    np.testing.assert_allclose(drawn, np.mean(by_hand, axis=0), atol=1e-12)
    back, drawn_back = trial_differences("classification", folds, worse, ours, ("0", "1"), draws)
    np.testing.assert_array_equal(gain, -back)
    np.testing.assert_array_equal(drawn, -drawn_back)
    assert gain.shape == (len(folds),) and drawn.shape == (100,) and gain.mean() > 0


def test_events_are_asked_of_the_trial_not_of_each_fold() -> None:
    truth = Outcome((np.arange(30) % 10 < 2).astype(float), None, np.ones(30, dtype=bool))  # 6 of 30, 2 in each fold
    folds = [TestFold(0, str(k), rows, truth.take(rows), truth) for k, rows in enumerate(np.arange(30).reshape(3, 10))]
    assert trial_estimable("classification", folds, 2)
    again = [
        TestFold(r, f.fold, f.patients[1:], f.outcome.take(np.arange(1, 10)), truth) for r in (0, 1) for f in folds
    ]
    assert not trial_estimable("classification", again, 2)  # 3 patients in two repeats are 3 patients
    assert not trial_estimable("classification", [], 2)


def test_restricted_fold_keeps_rows_together() -> None:
    folds, _, truth = trial(groups=np.arange(N) // 3)
    part = folds[0].take(np.arange(len(folds[0].patients)) % 2 == 0)
    np.testing.assert_array_equal(part.outcome.value, truth.value[part.patients])
    assert part.groups is not None and len(part.groups) == len(part.patients) and part.n_train == folds[0].n_train
    with pytest.raises(ValueError, match="not as many outcomes"):
        TestFold(0, "a", np.arange(3), truth, truth)


def test_mean_over_folds_skips_a_missing_fold_until_too_many_are_missing() -> None:
    values = np.arange(20.0).reshape(5, 4)
    some, many = values.copy(), values.copy()
    some[0, 0] = np.nan
    np.testing.assert_allclose(mean_over_folds(values), values.mean(axis=0))
    np.testing.assert_allclose(mean_over_folds(some), [values[1:, 0].mean(), *values[:, 1:].mean(axis=0)])
    many[:2] = np.nan
    assert np.isnan(mean_over_folds(many)).all()


def test_percentile_interval() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))
    draws = np.r_[np.full(199, np.nan), np.arange(801.0)]
    assert percentile_interval(draws) == pytest.approx((20, 780))
    assert np.isnan(percentile_interval(np.r_[np.nan, np.nan, draws])).all()
    assert np.isnan(percentile_interval(np.full(4, np.nan))).all() and np.isnan(percentile_interval(np.zeros(0))).all()


def test_an_estimate_is_whole_or_not_estimable() -> None:
    assert str(Estimate(0.75123, 0.7, 0.8)) == "0.751 (0.700 to 0.800)"
    point, draws = np.full((2, 1), 0.5), np.full((2, 10), 0.5)
    assert estimate(point, draws) == Estimate(0.5, 0.5, 0.5)
    assert str(estimate(point, np.full((2, 10), np.nan))) == "not estimable"
    assert str(estimate(np.full((2, 1), np.nan), draws)) == "not estimable"
