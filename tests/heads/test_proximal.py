"""Newton's jump in the solver of elastic nets: the same optimum, sooner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chiasm.linear import proximal
from chiasm.linear.elastic_net import fit_elastic_net, penalty_grid
from chiasm.targets import Outcome


def problem(kind: str, classes: int) -> tuple[np.ndarray, Outcome]:
    """Sixty patients with ten columns that are alike, so that proximal gradients alone take long."""
    draw = np.random.default_rng(classes)
    x = draw.standard_normal((60, 10)) + 2 * draw.standard_normal((60, 1))
    eta = x @ draw.standard_normal((10, max(classes, 1))) + draw.gumbel(size=(60, max(classes, 1)))
    return x, Outcome(eta.argmax(axis=1).astype(float) if classes else eta[:, 0], None, np.ones(60, bool))


@pytest.mark.parametrize(("kind", "classes"), [("classification", 2), ("classification", 4), ("regression", 0)])
def test_the_jump_saves_steps_and_changes_nothing(kind: str, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, outcome = problem(kind, classes)
    penalties = penalty_grid(kind, x, outcome)
    steps = []
    expected = proximal.SparseProblem.expected

    def counted(self: Any, eta: np.ndarray) -> np.ndarray:
        steps.append(1)
        return expected(self, eta)

    monkeypatch.setattr(proximal.SparseProblem, "expected", counted)
    found = fit_elastic_net(kind, x, outcome, penalties)
    jumping = len(steps)
    monkeypatch.setattr(proximal, "NEWTON_SIZE", 0)
    plain = fit_elastic_net(kind, x, outcome, penalties)
    assert jumping < 0.5 * (len(steps) - jumping)
    for one, other in zip(found, plain, strict=True):
        assert np.array_equal(one.coef != 0, other.coef != 0)
        np.testing.assert_allclose(one.coef, other.coef, atol=3e-5)


def test_a_jump_that_would_change_a_sign_is_not_taken() -> None:
    x, outcome = problem("regression", 0)
    centred = x - x.mean(axis=0)
    targets = outcome.value[:, None]
    given = proximal.SparseProblem(True, x, x.mean(axis=0), np.ones(10, bool), targets, 0.5)
    block = proximal.RowBlock(given, centred)
    least = np.linalg.lstsq(centred, targets - targets.mean(axis=0), rcond=None)[0]
    assert proximal._newton(given, block, 1e-6, least, targets.mean(axis=0)) is not None
    assert proximal._newton(given, block, 1e-6, -least, targets.mean(axis=0)) is None
    assert proximal._newton(given, block, 1e-6, 0 * least, targets.mean(axis=0)) is None


def test_columns_that_are_copies_under_a_lasso_are_no_error() -> None:
    x, outcome = problem("classification", 2)
    x = np.concatenate([x, x], axis=1)
    fits = fit_elastic_net("classification", x, outcome, penalty_grid("classification", x, outcome), l1_ratio=1.0)
    assert all(np.isfinite(fit.coef).all() for fit in fits)
