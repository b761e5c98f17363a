"""Several labels: one logistic regression each, a loss that does not see a missing cell, probabilities by a sigmoid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from chiasm.cohort import Multilabel, Outcome
from chiasm.heads.head import Head, output_width, target_tensors
from chiasm.heads.multilabel import masked_cross_entropy
from chiasm.heads.response import Response
from chiasm.linear.linear import deviance, fit_path, information, nll


def data(n: int = 80, missing: float = 0.3) -> tuple[np.ndarray, Outcome]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 5))
    value = (x[:, :3] + rng.normal(size=(n, 3)) > [0, 0.5, 1]).astype(float)
    value[rng.random((n, 3)) < missing] = np.nan
    value[0] = np.nan
    return x, Outcome(value, None, ~np.isnan(value).all(axis=1))


def test_each_label_is_a_logistic_regression_on_the_patients_of_whom_it_is_known() -> None:
    x, outcome = data()
    for fit, penalty in zip(fit_path("multilabel", x, outcome, [0.5, 20.0], classes=3), (0.5, 20.0), strict=True):
        assert fit.coef.shape == (5, 3) and fit.intercept.shape == (3,)
        for k in range(3):
            rows = ~np.isnan(outcome.value[:, k])
            oracle = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000).fit(x[rows], outcome.value[rows, k])
            np.testing.assert_allclose(fit.linear_predictor(x)[:, k], oracle.decision_function(x), atol=1e-4)


def test_constant_and_unknown_labels_have_no_coefficient() -> None:
    x, outcome = data()
    value = np.c_[outcome.value[:, 0], np.zeros(80), np.full(80, np.nan)]
    (fit,) = fit_path("multilabel", x, Outcome(value, None, ~np.isnan(value).all(axis=1)), [1.0], classes=3)
    assert not fit.coef[:, 1:].any() and fit.intercept[1] < -4 and fit.intercept[2] == 0


def test_deviance_is_the_mean_log_loss_over_known_cells() -> None:
    _, outcome = data()
    eta = np.random.default_rng(1).normal(size=(80, 3))
    cells = ~np.isnan(outcome.value)
    expected = log_loss(outcome.value[cells], expit(eta[cells]))
    assert deviance("multilabel", eta, outcome) == pytest.approx(expected)
    assert nll("multilabel", eta, outcome) == pytest.approx(expected * cells.sum() / 3)
    folds = np.arange(80) % 4
    assert nll("multilabel", eta, outcome, folds) == pytest.approx(nll("multilabel", eta, outcome))
    assert information("multilabel", outcome) == pytest.approx(cells.sum() / 12)


def test_the_loss_does_not_see_a_missing_cell() -> None:
    _, outcome = data()
    value, event = target_tensors(outcome)
    assert value.shape == (80, 3) and event.shape == (80,) and output_width(Multilabel(("a", "b", "c"))) == 3
    logits = torch.randn(80, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = masked_cross_entropy(logits, value, event)
    (gradient,) = torch.autograd.grad(loss, logits)
    known = ~torch.isnan(value)
    assert bool(torch.isfinite(gradient).all()) and not gradient[~known].any() and bool(gradient[known].all())
    assert float(loss.detach()) == pytest.approx(
        deviance("multilabel", logits.detach().double().numpy(), outcome), rel=1e-5
    )
    nothing = Head(4, 3, "multilabel").loss(logits, torch.full((80, 3), torch.nan), event)
    assert float(nothing.detach()) == 0 and not torch.autograd.grad(nothing, logits)[0].any()


def test_probabilities_are_calibrated_by_one_slope_and_need_not_sum_to_one() -> None:
    rng = np.random.default_rng(2)
    link = rng.normal(size=(4000, 2)) * 2 + [0, -1]
    outcome = Outcome((rng.random((4000, 2)) < expit(link / 2)).astype(float), None, np.ones(4000, bool))
    response = Response.fit(Multilabel(("a", "b")), link, outcome, calibrate=True)
    assert response.slope == pytest.approx(0.5, abs=0.05) and response.centre == 0
    frame = response.frame(link)
    assert list(frame) == ["p_a", "p_b"] and frame.to_numpy().min() > 0 and frame.sum(axis=1).max() > 1.2
    np.testing.assert_allclose(frame["p_b"], expit(response.slope * link[:, 1]))


def test_the_prior_is_the_log_odds_of_each_label() -> None:
    value = np.array([[1, 0], [0, 0], [np.nan, 0]])
    prior = Multilabel.prior_link(Outcome(value, None, np.ones(3, bool)), 2)
    np.testing.assert_allclose(prior, [0, np.log(0.5 / 3.5)])
