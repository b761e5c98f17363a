"""The random-effects summary equals base R, and what metafor publishes for `dat.bcg`."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.evaluation.meta import random_effects

TPOS = np.array([4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27])
TNEG = np.array([119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886])
CPOS = np.array([11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29])
CNEG = np.array([128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825])
BCG = (
    np.log((TPOS / (TPOS + TNEG)) / (CPOS / (CPOS + CNEG))),
    1 / TPOS - 1 / (TPOS + TNEG) + 1 / CPOS - 1 / (CPOS + CNEG),
)
FOUR = (np.array([0.9, 1.4, 0.2, 1.1]), np.array([0.05, 0.02, 0.1, 0.03]))
# mean, low, high, new_low, new_high, tau2, i2: make_meta.R in R 4.2.2
OF_R = {
    "bcg": (
        BCG,
        (-0.7141172221, -1.1078213542, -0.3204130900, -1.9988384958, 0.5706040516, 0.3087602629, 0.9211734685),
    ),
    "four": (
        FOUR,
        (0.9659719066, 0.2010237974, 1.7309200158, -0.8568350223, 2.7887788355, 0.1345038168, 0.7755281690),
    ),
}


@pytest.mark.parametrize("name", OF_R)
def test_equals_the_formulas_in_r(name: str) -> None:
    data, expected = OF_R[name]
    found = random_effects(*data)
    own = (found.mean, found.low, found.high, found.new_low, found.new_high, found.tau2, found.i2)
    np.testing.assert_allclose(own, expected, rtol=0, atol=1e-9)


def test_equals_what_metafor_publishes() -> None:
    """`rma(yi, vi, data = dat.bcg, method = "DL")` of the documentation of metafor."""
    found = random_effects(*BCG)
    assert (round(found.mean, 4), round(found.tau2, 4)) == (-0.7141, 0.3088)


def test_sites_that_agree_leave_no_variance_between_them() -> None:
    found = random_effects([0.1, 0.1, 0.1], [0.04, 0.05, 0.06])
    assert found.tau2 == found.i2 == 0 and found.mean == pytest.approx(0.1)
    assert found.new_high - found.new_low > 3, "a new site is not known better than three sites allow"


def test_too_few_sites_have_no_interval() -> None:
    assert np.isnan(random_effects([0.3], [0.1]).low) and random_effects([0.3], [0.1]).mean == 0.3
    two = random_effects([0.3, 0.5], [0.1, 0.1])
    assert np.isfinite([two.low, two.high]).all() and np.isnan([two.new_low, two.new_high]).all()
    assert np.isnan(random_effects([], []).mean)


def test_a_site_of_nearly_no_variance_does_not_end_the_work() -> None:
    found = random_effects([0.3, 0.5, 0.4], [1e-31, 0.1, 0.1])
    assert np.isfinite([found.mean, found.tau2]).all()


@pytest.mark.parametrize(("y", "v"), [([1.0], [0.0]), ([np.nan], [1.0]), ([1.0, 2.0], [1.0]), ([1.0], [-1.0])])
def test_numbers_that_are_none_are_refused(y: list[float], v: list[float]) -> None:
    with pytest.raises(ValueError, match="one variance above zero for each site"):
        random_effects(y, v)


def test_shifting_and_scaling_the_estimates_shifts_and_scales_the_summary() -> None:
    y, v = FOUR
    found, moved = random_effects(y, v), random_effects(2 * y + 3, 4 * v)
    for name in ("mean", "low", "high", "new_low", "new_high"):
        assert getattr(moved, name) == pytest.approx(2 * getattr(found, name) + 3)
    assert moved.tau2 == pytest.approx(4 * found.tau2) and moved.i2 == pytest.approx(found.i2)
