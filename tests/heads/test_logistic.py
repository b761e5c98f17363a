"""Two ways to one solution: Newton's steps for two classes and few columns or rows, L-BFGS for all others."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.linear import logistic
from chiasm.linear.logistic import fit_ridge_logistic

PENALTIES = [1e-3, 1.0, 100.0]


def both_ways(x: np.ndarray, codes: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> tuple[list, list]:
    newton = fit_ridge_logistic(x, codes, PENALTIES)
    with monkeypatch.context() as patched:
        patched.setattr(logistic, "NEWTON_UP_TO", -1)
        patched.setattr(logistic, "NEWTON_WORK", -1.0)
        return newton, fit_ridge_logistic(x, codes, PENALTIES)


@pytest.mark.parametrize("columns", [1, 6, 60, 300])
@pytest.mark.parametrize("noise", [0.0, 2.0], ids=["separable", "noisy"])
def test_both_solvers_reach_the_same_optimum(columns: int, noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(columns)
    x = rng.normal(size=(50, columns)) * np.geomspace(0.1, 10, columns) + 3.0
    codes = np.where(x[:, 0] - x[:, 0].mean() + noise * x[:, 0].std() * rng.normal(size=50) > 0, 4, 1)
    for penalty, *ways in zip(PENALTIES, *both_ways(x, codes, monkeypatch), strict=True):
        found = []
        for coef, intercept in ways:
            eta = (x @ (coef[:, 4] - coef[:, 1])) + intercept[4] - intercept[1]
            loss = np.logaddexp(0, np.where(codes == 4, -eta, eta)).sum()
            found.append(loss + penalty / 2 * float(((coef[:, 4] - coef[:, 1]) ** 2).sum()))
        assert found[0] <= found[1] + 1e-9 * max(1.0, found[1])
        assert found[1] == pytest.approx(found[0], rel=1e-3)


def test_without_a_penalty_separable_classes_stay_finite() -> None:
    x = np.linspace(-1, 1, 40)[:, None] * [1.0, 1e4]
    coef, intercept = fit_ridge_logistic(x, (x[:, 0] > 0).astype(int), [0.0])[0]
    assert np.isfinite(coef).all() and np.isfinite(intercept).all()
    assert ((x @ coef + intercept).argmax(1) == (x[:, 0] > 0)).all()
