"""Metrics of a choice equal scikit-learn's where all have as many options, and a tie counts by its share."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import accuracy_score, log_loss

from chiasm.metrics import choice


def test_accuracy_and_log_loss_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p, code = rng.dirichlet(np.ones(4), 50), rng.integers(0, 4, 50)
    w = rng.integers(0, 3, (5, 50)).astype(float)
    for row, own in zip(w, choice.accuracy(p, code, w), strict=True):
        np.testing.assert_allclose(own, accuracy_score(code, p.argmax(1), sample_weight=row))
    for row, own in zip(w, choice.log_loss(p, code, w), strict=True):
        np.testing.assert_allclose(own, log_loss(code, p, sample_weight=row, labels=range(4)))


def test_saying_nothing_scores_as_a_guess_does_wherever_the_right_options_stand() -> None:
    p = np.array([[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]])
    for code in ([0, 0, 0], [1, 2, 1]):
        np.testing.assert_allclose(choice.accuracy(p, code), (1 / 2 + 1 / 3 + 1 / 2) / 3)
        np.testing.assert_allclose(choice.beyond_guessing(p, code), 0.0, atol=1e-12)
        np.testing.assert_allclose(choice.log_loss(p, code), np.mean(np.log([2, 3, 2])))
        np.testing.assert_allclose(choice.brier(p, code), np.mean([0.5, 2 / 3, 0.5]))
    assert choice.beyond_guessing(np.eye(3) * 0.7 + 0.1, [0, 1, 2]) == 1.0
