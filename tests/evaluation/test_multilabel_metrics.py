"""Metrics of several labels: equal to scikit-learn with ties, weights and missing cells, averaged label by label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from chiasm.cohort import Outcome
from chiasm.evaluation.estimates import mean_over_labels
from chiasm.evaluation.intervals import TestFold, patient_draws, trial_differences, trial_estimable, trial_scores
from chiasm.metrics import multilabel as ours
from chiasm.metrics.scores import estimable, scorable, score
from examples import examples


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, K) probabilities with ties, (n, K) labels of which both values occur, (2, n) counts that keep both."""
    n, k = draw(st.integers(4, 25)), draw(st.integers(1, 4))
    p = np.array(draw(st.lists(st.integers(0, 5), min_size=n * k, max_size=n * k))).reshape(n, k) / 5
    y = np.array(draw(st.lists(st.integers(0, 1), min_size=n * k, max_size=n * k))).reshape(n, k)
    y[0], y[1] = 0, 1
    counts = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    counts[:2] += 1
    return p, y.astype(float), np.stack([counts, np.ones(n, dtype=int)])


@given(labelled())
@settings(deadline=None, max_examples=examples(150, day=15))
def test_equals_scikit_learn_macro_on_resampled_data(data: tuple) -> None:
    p, y, weights = data
    for r, counts in enumerate(weights):
        i = np.repeat(np.arange(len(y)), counts)
        assert ours.auroc(p, y, weights)[r] == pytest.approx(roc_auc_score(y[i], p[i], average="macro"))
        assert ours.auprc(p, y, weights)[r] == pytest.approx(average_precision_score(y[i], p[i], average="macro"))
        each = [brier_score_loss(y[i, k], p[i, k]) for k in range(y.shape[1])]
        assert ours.brier(p, y, weights)[r] == pytest.approx(np.mean(each))


def test_a_missing_cell_leaves_the_other_labels_of_the_patient() -> None:
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (60, 3)).astype(float), rng.random((60, 3))
    y[rng.random((60, 3)) < 0.3] = np.nan
    each = [roc_auc_score(y[k, j], p[k, j]) for j in range(3) for k in [~np.isnan(y[:, j])]]
    assert ours.auroc(p, y)[0] == pytest.approx(np.mean(each))
    behind = np.where(np.isnan(y), rng.random((60, 3)), p)  # what is predicted for a missing cell is not read
    np.testing.assert_array_equal(ours.auroc(p, y), ours.auroc(behind, y))


def test_labels_without_both_values_are_skipped_and_without_any_it_is_nan() -> None:
    y = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    p = np.array([[0.1, 0.3], [0.2, 0.1], [0.4, 0.2]])
    assert ours.auroc(p, y)[0] == pytest.approx(0.5)
    assert np.isnan(ours.auroc(p[:, 1:], y[:, 1:])).all()
    assert np.isnan(ours.auroc(p, y, [[0, 2, 0]])).all()
    with pytest.raises(ValueError, match="labels"):
        ours.auroc(p, y[:, 0])


def outcome(value: np.ndarray) -> Outcome:
    return Outcome(value, None, ~np.isnan(value).all(axis=1))


def test_labels_with_few_positives_or_negatives_are_not_scored() -> None:
    rng = np.random.default_rng(0)
    value = np.stack([np.arange(40) % 2, np.arange(40) < 4, np.arange(40) >= 5], axis=1).astype(float)
    truth = outcome(value)
    assert np.isnan(scorable("multilabel", truth).value).all(axis=0).tolist() == [False, True, False]
    frame = pd.DataFrame(rng.random((40, 3)), columns=["p_a", "p_b", "p_c"])
    found = score("multilabel", frame, truth, "abc")["auroc"][0]
    assert found == pytest.approx(np.mean([roc_auc_score(value[:, k], frame.iloc[:, k]) for k in (0, 2)]))
    rare = outcome(value[:, [1]])
    assert not estimable("multilabel", rare) and estimable("multilabel", rare, min_events=4)
    assert np.isnan(score("multilabel", frame[["p_b"]], rare, "b")["auroc"]).all()
    with pytest.raises(ValueError, match="2 names for 3 labels"):
        score("multilabel", frame, truth, "ab")


def trial(positives: tuple[int, ...], n: int = 90) -> tuple[list[TestFold], list[list[pd.DataFrame]], list[str]]:
    """Three folds; each label has so many positives, dealt out one by one; two sets of predictions."""
    rng = np.random.default_rng(1)
    value = np.stack([np.arange(n) < many for many in positives], axis=1).astype(float)
    truth, names = outcome(value), [f"l{k}" for k in range(len(positives))]
    columns = [f"p_{name}" for name in names]
    guesses = [np.clip(noise * rng.random(value.shape) + (1 - noise) * value, 0, 1) for noise in (0.7, 0.8)]
    rows = [np.flatnonzero(np.arange(n) % 3 == k) for k in range(3)]
    folds = [
        TestFold(0, str(k), r, truth.take(r), truth.take(np.setdiff1d(np.arange(n), r))) for k, r in enumerate(rows)
    ]
    return folds, [[pd.DataFrame(p[r], columns=columns) for r in rows] for p in guesses], names


def test_a_rare_label_is_averaged_over_its_folds_first() -> None:
    """Seven positives in three folds: where a draw loses them, the mean does not go to the easier labels."""
    folds, (ours_, theirs), names = trial((45, 7))
    draws = patient_draws(folds, 90, 400, 0)
    found = trial_scores("multilabel", folds, ours_, names, draws)
    alone = [
        trial_scores("multilabel", [f.label(k) for f in folds], [p[[f"p_l{k}"]] for p in ours_], [f"l{k}"], draws)
        for k in range(2)
    ]
    for metric in ("auroc", "auprc", "brier"):
        assert found[metric].mean == pytest.approx(np.mean([one[metric].mean for one in alone]))
    assert found["brier"].low < found["brier"].mean < found["brier"].high
    difference, drawn = trial_differences("multilabel", folds, ours_, theirs, names, draws)
    other = trial_scores("multilabel", folds, theirs, names, draws)
    assert difference.mean() == pytest.approx(found["auroc"].mean - other["auroc"].mean)
    assert drawn.shape == (400,)


def test_labels_that_are_too_rare_leave_the_mean_and_without_any_it_is_not_estimable() -> None:
    folds, (ours_, theirs), names = trial((45, 4))
    draws = patient_draws(folds, 90, 200, 0)
    common = trial_scores(
        "multilabel", [f.label(0) for f in folds], [p[["p_l0"]] for p in ours_], ["l0"], draws, ["auroc"]
    )
    assert trial_scores("multilabel", folds, ours_, names, draws, ["auroc"]) == common
    folds, (ours_, theirs), names = trial((4, 3))
    assert not trial_estimable("multilabel", folds, 2)
    assert str(trial_scores("multilabel", folds, ours_, names, draws)["auroc"]) == "not estimable"
    assert np.isnan(trial_differences("multilabel", folds, ours_, theirs, names, draws)[0]).all()


def test_shares_of_folds_have_the_mean_of_the_label_means() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((6, 1)), rng.random((6, 1))
    second[2] = np.nan
    drawn = rng.random((6, 50))
    share, means = mean_over_labels([(first, drawn), (second, drawn)])
    assert share.mean() == pytest.approx((first.mean() + np.nanmean(second)) / 2)
    np.testing.assert_allclose(means, drawn.mean(axis=0))
