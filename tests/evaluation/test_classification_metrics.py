"""Metrics of class probabilities: equal to scikit-learn with ties, and weighted equals resampled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
)

from chiasm.metrics import classification as ours
from examples import examples

ALL = (ours.auroc, ours.auprc, ours.balanced_accuracy, ours.macro_f1, ours.brier)


@st.composite
def predicted(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, K) probabilities with many ties, codes in which every class occurs, counts that draw every class."""
    k = draw(st.integers(2, 4))
    n = draw(st.integers(k, 25))
    cells = np.array(draw(st.lists(st.integers(1, 4), min_size=n * k, max_size=n * k)), dtype=float).reshape(n, k)
    code = np.r_[np.arange(k), draw(st.lists(st.integers(0, k - 1), min_size=n - k, max_size=n - k))].astype(int)
    counts = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    counts[:k] += 1
    return cells / cells.sum(axis=1, keepdims=True), code, counts


@given(predicted())
@settings(deadline=None, max_examples=examples(150, day=15))
def test_equals_scikit_learn(data: tuple) -> None:
    p, code, counts = data
    resampled = np.repeat(np.arange(len(code)), counts)
    weights = np.stack([np.ones_like(counts), counts])
    for r, rows in enumerate((np.arange(len(code)), resampled)):
        y, scores = code[rows], (p[rows, 1] if p.shape[1] == 2 else p[rows])
        guess = p[rows].argmax(axis=1)
        expected = {
            ours.auroc: roc_auc_score(y, scores, multi_class="ovr", average="macro"),
            ours.auprc: average_precision_score(y, scores, average="macro"),
            ours.balanced_accuracy: balanced_accuracy_score(y, guess),
            ours.macro_f1: f1_score(y, guess, average="macro"),
        }
        expected[ours.brier] = (
            brier_score_loss(y, scores)
            if p.shape[1] == 2
            else np.mean(((p[rows] - np.eye(p.shape[1])[y]) ** 2).sum(axis=1))
        )
        for function, value in expected.items():
            assert function(p, code, weights)[r] == pytest.approx(value, abs=1e-9), function.__name__


@given(predicted())
@settings(deadline=None, max_examples=examples(100))
def test_weighted_equals_literally_resampled(data: tuple) -> None:
    p, code, counts = data
    rows = np.repeat(np.arange(len(code)), counts)
    for function in ALL:
        assert function(p, code, counts[None])[0] == pytest.approx(
            function(p[rows], code[rows])[0], abs=1e-7, nan_ok=True
        ), function.__name__


def test_extreme_probabilities_are_finite() -> None:
    p = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    for function in ALL:
        assert np.isfinite(function(np.c_[1 - p, p], [0, 1, 1, 0, 0, 1])).all(), function.__name__


@pytest.mark.parametrize("function", [f for f in ALL if f is not ours.brier])
def test_a_draw_without_a_class_is_nan_and_leaves_the_others_alone(function) -> None:
    p = np.array([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5], [0.7, 0.3]])
    weights = np.array([[1, 1, 1, 1], [2, 0, 2, 0], [0, 2, 0, 2], [0, 0, 0, 0]])
    value = function(p, [0, 1, 0, 1], weights)
    assert np.isfinite(value[0]) and np.isnan(value[1:]).all()


def test_errors_name_the_shape() -> None:
    with pytest.raises(ValueError, match=r"\(3,\)"):
        ours.auroc([0.1, 0.2, 0.3], [0, 1, 0])
    with pytest.raises(ValueError, match=r"0\.\.1"):
        ours.auroc(np.full((3, 2), 0.5), [0, 1, 2])
    with pytest.raises(ValueError, match="each of 3 patients"):
        ours.auroc(np.full((3, 2), 0.5), [0, 1, 1], np.ones((5, 4)))
    with pytest.raises(ValueError, match="negative"):
        ours.auroc(np.full((3, 2), 0.5), [0, 1, 1], [[1, 1, -1]])
