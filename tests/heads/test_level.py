"""Calibration in the large: one constant for everybody, so that the mean probability is the frequency."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import Classification, Multilabel
from chiasm.heads.response import Response, level_of
from chiasm.targets import Outcome


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_mean_probability_of_a_class_is_its_frequency(classes: int, calibrate: bool) -> None:
    rng = np.random.default_rng(0)
    value = rng.choice(classes, 300, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()).astype(float)
    link = 3 * rng.normal(size=(300, classes)) + 2 * np.eye(classes)[value.astype(int)] + np.arange(classes)
    outcome = Outcome(value, None, np.ones(300, bool))
    target = Classification("y", tuple(map(str, range(classes))))
    response = Response.fit(target, link, outcome, calibrate=calibrate, in_the_large=True)
    frequency = np.bincount(value.astype(int)) / 300
    np.testing.assert_allclose(response.frame(link).mean().to_numpy(), frequency, atol=1e-7)
    plain = Response.fit(target, link, outcome, calibrate=calibrate)
    assert np.abs(plain.frame(link).mean().to_numpy() - frequency).max() > 0.02
    moved = response.calibrated(link) - response.slope * link
    np.testing.assert_allclose(moved, np.tile(moved[0], (300, 1)), atol=1e-9)  # the same for everybody


def test_labels_are_moved_one_by_one_over_those_of_whom_they_are_known() -> None:
    rng = np.random.default_rng(1)
    value = (rng.random((200, 2)) < [0.1, 0.7]).astype(float)
    value[rng.random(value.shape) < 0.2] = np.nan
    outcome = Outcome(value, None, np.ones(200, bool))
    link = rng.normal(size=(200, 2))
    response = Response.fit(Multilabel(("a", "b")), link, outcome, calibrate=False, in_the_large=True)
    said = np.where(np.isnan(value), np.nan, response.frame(link).to_numpy())
    np.testing.assert_allclose(np.nanmean(said, axis=0), np.nanmean(value, axis=0), atol=1e-7)


def test_extreme_links_and_a_class_of_nobody_have_a_level() -> None:
    outcome = Outcome(np.zeros(20), None, np.ones(20, bool))
    for link in (np.zeros((20, 3)), np.tile([300.0, -300.0, 0.0], (20, 1))):
        level = level_of("classification", link, outcome)
        assert np.isfinite(level).all() and abs(level.sum()) < 1e-6


def test_a_response_of_before_has_no_level() -> None:
    old = Response("classification", ("a", "b"), (), 0.5, 0.0, np.zeros(0), np.zeros(0))
    np.testing.assert_array_equal(old.calibrated(np.array([[1.0, 2.0]])), [[0.5, 1.0]])
