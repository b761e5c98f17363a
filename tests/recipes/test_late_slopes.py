"""`late-fusion`: the mean of links of several modalities needs another slope than one modality alone."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import synthetic_cohort
from chiasm.recipes.baselines.late import slope_of, slopes_for
from chiasm.recipes.registry import make_recipe


def test_each_pattern_has_the_slope_of_its_own_mean() -> None:
    """Two modalities that say different things count twice, and one that says what the other does, once."""
    slopes = {
        name: make_recipe("late-fusion").fit(synthetic_cohort(name, 600, missing=0.3, seed=0), seed=0).predictor.slopes
        for name in ("complementary", "redundant")
    }
    for own in slopes.values():
        assert own["m1"] == pytest.approx(1.0, abs=0.15) and own["m2"] == pytest.approx(1.0, abs=0.15)
    assert slopes["complementary"]["m1+m2"] > 1.7
    assert slopes["redundant"]["m1+m2"] < 1.4


def test_a_slope_is_in_no_unit_of_the_target() -> None:
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(2, 300, 1))
    cohort = synthetic_cohort("complementary", 300, target="regression", seed=0)
    assert cohort.outcome is not None
    y = parts.sum(0)[:, 0] + rng.normal(size=300)
    found = []
    for scale, centre in ((1.0, 0.0), (1e-3, 5.0)):
        outcome = type(cohort.outcome)(scale * y + centre, None, np.ones(300, bool))
        found.append(slope_of("regression", scale * parts + centre, outcome, np.arange(300) % 5))
    assert found[0] == pytest.approx(2.0, abs=0.15) and found[1] == pytest.approx(found[0], rel=1e-3)


def test_a_pattern_without_a_slope_has_one_by_its_number_of_modalities() -> None:
    present = np.array([[True, True, False, False], [True, False, True, False], [True, True, False, False]])
    found = slopes_for({"a+b+c": 2.5}, 0.5, ["a", "b", "c"], present)
    np.testing.assert_allclose(found, [2.5, 1.5, 1.0, 1.0])
    assert (slopes_for({}, 0.0, ["a", "b", "c"], present) == 1.0).all()  # as models of before
