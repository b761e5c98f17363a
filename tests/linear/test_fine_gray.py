"""Fine and Gray's model is that of R's cmprsk, ties included, and its derivatives are those of its likelihood."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chiasm.linear.fine_gray import (
    FINE_GRAY,
    SubdistributionSets,
    subdistribution_hazards,
    subdistribution_incidence,
)
from chiasm.linear.linear import fit_path
from chiasm.targets import Outcome

FILE = Path(__file__).parents[1] / "evaluation" / "fixtures" / "competing.json"
CASES = json.loads(FILE.read_text(encoding="utf-8"))["cases"]


def case(stored: dict[str, list[float]]) -> tuple[np.ndarray, Outcome]:
    cause = np.array(stored["cause"])
    known = np.ones(len(cause), bool)
    return np.c_[stored["z"], stored["u"]], Outcome(np.array(stored["time"], float), cause > 0, known, cause)


@pytest.mark.parametrize("stored", CASES, ids=range(len(CASES)))
def test_coefficients_and_incidence_are_those_of_crr(stored: dict[str, list[float]]) -> None:
    x, outcome = case(stored)
    (found,) = fit_path("competing", x, outcome, [0.0], classes=2, loss=FINE_GRAY)
    np.testing.assert_allclose(found.coef[:, 0], stored["crr"], atol=1e-6)
    link = x @ found.coef
    assert FINE_GRAY.sets(outcome, 2)[0].nll(np.zeros(len(x))) > -float(np.array(stored["crr_loglik"]))
    own = FINE_GRAY.sets(outcome, 2)[0]
    assert own.nll(link[own.order, 0]) == pytest.approx(-float(np.array(stored["crr_loglik"])), abs=1e-6)
    incidence = subdistribution_incidence(link, subdistribution_hazards(link, outcome), stored["times"])
    np.testing.assert_allclose(incidence[:, 0], stored["crr_incidence"], atol=1e-6)


def test_derivatives_are_those_of_the_likelihood() -> None:
    x, outcome = case(CASES[0])
    for own in FINE_GRAY.sets(outcome, 2):
        assert isinstance(own, SubdistributionSets)
        z, step = x[own.order], 1e-5
        coef = np.array([0.3, -0.2])
        gradient, hessian = own.derivatives(z, z @ coef)
        for k in range(2):
            up, down = (own.nll(z @ (coef + sign * step * np.eye(2)[k])) for sign in (1, -1))
            assert gradient[k] == pytest.approx((up - down) / 2 / step, rel=1e-5)
            up, down = (own.derivatives(z, z @ (coef + sign * step * np.eye(2)[k]))[0] for sign in (1, -1))
            np.testing.assert_allclose(hessian[k], (up - down) / 2 / step, rtol=1e-5)
        expected, times = own.curves(z @ coef)
        np.testing.assert_allclose(z.T @ expected - z[own.events].sum(0), gradient)
        np.testing.assert_allclose(np.stack([z.T @ times(column) for column in z.T]), hessian, atol=1e-8)


def test_without_another_cause_it_is_cox_with_breslows_ties() -> None:
    x, outcome = case(CASES[3])  # no ties
    alone = outcome.of_cause(1)
    ours, theirs = (fit_path("survival", x, alone, [2.0], loss=loss)[0].coef for loss in (FINE_GRAY, None))
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_incidences_that_pass_one_leave_the_main_cause_as_it_is() -> None:
    times, hazard = np.array([1.0, 2.0, 3.0]), np.array([[0.2, 0.2], [1.0, 0.5], [4.0, 0.6]])
    found = subdistribution_incidence(np.log([[1.0, 3.0], [0.1, 0.1]]), (times, hazard), [0.5, 1.0, 2.0, 3.0])
    assert (found.sum(axis=1) <= 1 + 1e-12).all() and (np.diff(found, axis=2) >= 0).all()
    np.testing.assert_allclose(found[0, 0], 1 - np.exp(-np.array([0, 0.2, 1.0, 4.0])))
    np.testing.assert_allclose(found[1, 1], 1 - np.exp(-0.1 * np.array([0, 0.2, 0.5, 0.6])))
