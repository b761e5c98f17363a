"""How draws are grouped decides the interval alone: the mean, and the labels in it, are those of the patients."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Outcome
from chiasm.evaluation.contrasts import Contrast, contrast, whole_values, within_values
from chiasm.evaluation.estimates import Estimate, estimate_of_labels, mean_over_labels
from chiasm.evaluation.intervals import TestFold, patient_draws, trial_differences, trial_scores
from examples import examples

LABELS = ("A", "B")
Mask = np.ndarray


class Trialled(NamedTuple):
    """Folds of a trial with what two recipes predict, of which the second gains on the label B alone."""

    folds: list[TestFold]
    first: list[pd.DataFrame]
    second: list[pd.DataFrame]

    def ungrouped(self) -> Trialled:
        return self._replace(folds=[replace(fold, groups=None) for fold in self.folds])

    def draws(self) -> np.ndarray:
        return patient_draws(self.folds, sum(len(fold.patients) for fold in self.folds), examples(200), 0)

    def scores(self, metrics: list[str] | None = None) -> dict[str, Estimate]:
        return trial_scores("multilabel", self.folds, self.second, LABELS, self.draws(), metrics)

    def contrast(self) -> Contrast:
        draws = self.draws()
        ours, theirs = (
            whole_values("multilabel", self.folds, frames, LABELS, draws) for frames in (self.second, self.first)
        )
        return contrast(ours, theirs, n_test=60, n_train=240)

    def combining(self) -> Contrast:
        """The contrast within strata, which are two halves of each fold."""
        draws = self.draws()
        strata = [np.tile((np.arange(len(fold.patients)) // 2 % 2)[:, None], (1, 2)) for fold in self.folds]
        ours, theirs = (
            within_values("multilabel", self.folds, frames, LABELS, draws, strata)
            for frames in (self.second, self.first)
        )
        return contrast(ours, theirs, n_test=60, n_train=240)


def sites_in_folds(
    sites: list[int], unknown: list[tuple[int, int]], size: int = 60, alike: tuple[int, int] = (-1, -1)
) -> Trialled:
    """A fold for each number of sites; B is unknown at the sites (fold, site), and the same for all at site `alike`."""
    rng = np.random.default_rng(0)
    folds, first, second = [], [], []
    for number, many in enumerate(sites):
        site = np.arange(size) * many // size
        value = rng.integers(0, 2, (size, 2)).astype(float)
        value[np.isin(site, [one for fold, one in unknown if fold == number]), 1] = np.nan
        if alike[0] == number:
            value[site == alike[1], 1] = 0.0
        outcome = Outcome(value, None, ~np.isnan(value).all(axis=1))
        patients = number * size + np.arange(size)
        folds.append(
            TestFold(0, str(number), patients, outcome, outcome, np.array([f"{number}-{one}" for one in site]))
        )
        noise, filled = rng.random((size, 2)), np.nan_to_num(value)
        base = np.c_[0.8 * noise[:, 0] + 0.2 * filled[:, 0], noise[:, 1]]
        first.append(pd.DataFrame(base, columns=["p_A", "p_B"]))
        gained = np.c_[base[:, 0], 0.7 * noise[:, 1] + 0.3 * filled[:, 1]]
        second.append(pd.DataFrame(gained, columns=["p_A", "p_B"]))
    return Trialled(folds, first, second)


SHAPES = {
    "many sites in each fold": sites_in_folds([6, 6, 6], []),
    "one site": sites_in_folds([1], []),
    "one site in each fold": sites_in_folds([1, 1, 1], []),
    "two sites in one of five folds": sites_in_folds([1, 1, 1, 1, 2], []),
    "B unknown at the second site of the only fold of two": sites_in_folds([1, 1, 1, 1, 2], [(4, 1)]),
    "B known at one of two sites": sites_in_folds([2], [(0, 1)]),
    "B known at one of two sites of one fold": sites_in_folds([2, 2, 2], [(1, 1)]),
    "B unknown in one of six folds": sites_in_folds([2] * 6, [(1, 0), (1, 1)]),
    "B the same for all at one of two sites": sites_in_folds([2], [], alike=(0, 1)),
    "B the same for all at one of two sites of one fold": sites_in_folds([2, 3], [], alike=(0, 1)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_is_the_same_however_draws_are_grouped(shape: str) -> None:
    grouped = SHAPES[shape]
    free = grouped.ungrouped()
    ours, theirs = grouped.scores(), free.scores()
    assert all(own.bounded for own in theirs.values())
    assert {name: own.mean for name, own in ours.items()} == {name: own.mean for name, own in theirs.items()}
    assert grouped.contrast().mean == free.contrast().mean > 0.05, "the gain on B stands"
    assert grouped.combining().mean == free.combining().mean > 0.05
    points = [
        trial_differences("multilabel", own.folds, own.second, own.first, LABELS, own.draws())[0]
        for own in (grouped, free)
    ]
    np.testing.assert_array_equal(*points)


def test_a_label_that_cannot_be_drawn_stays_in_the_mean_and_takes_the_interval() -> None:
    for shape in ("B known at one of two sites", "B the same for all at one of two sites"):
        one = SHAPES[shape]
        assert one.scores()["auroc"].estimable and not one.scores()["auroc"].bounded
        assert one.contrast().estimable and not one.contrast().bounded and not one.contrast().same
    several = SHAPES["B unknown at the second site of the only fold of two"]
    found = several.contrast()
    assert found.bounded and (found.low, found.high) == found.corrected, "the interval over folds stands"
    assert found.corrected == several.ungrouped().contrast().corrected


@pytest.mark.parametrize(("sites", "bounded"), [([1, 1, 1, 1, 2], False), ([2, 2, 2, 2, 1], False), ([2] * 5, True)])
def test_an_interval_needs_every_fold_that_counts(sites: list[int], bounded: bool) -> None:
    found = sites_in_folds(sites, [])
    for metric, own in found.scores().items():
        assert own.estimable and own.bounded == bounded, metric
    assert found.contrast().bounded
    assert np.isfinite(found.contrast().bootstrap).all() == bounded
    assert np.isfinite(found.combining().bootstrap).all() == bounded


def test_a_fold_without_a_value_needs_no_draw() -> None:
    """In the only fold of one site nobody's B is known, so that it does not count for B."""
    found = sites_in_folds([2, 2, 2, 2, 2, 1], [(5, 0)])
    alone = Trialled(
        [fold.label(1) for fold in found.folds],
        [frame[["p_B"]] for frame in found.first],
        [frame[["p_B"]] for frame in found.second],
    )
    scores = trial_scores("multilabel", alone.folds, alone.second, ["B"], found.draws())
    assert scores["auroc"].bounded and scores["brier"].bounded
    assert not found.scores()["auroc"].bounded, "for A the fold counts"


def test_only_draws_with_every_label_are_used() -> None:
    point, low, high = np.array([[0.5]]), np.full((1, 20), 0.5), np.full((1, 20), 0.9)
    high[0, :4] = np.nan
    _, drawn = mean_over_labels([(point, low), (point, high)])
    np.testing.assert_allclose(drawn, np.r_[[np.nan] * 4, [0.7] * 16])
    low[0, 4] = np.nan
    share, drawn = mean_over_labels([(point, low), (point, high)])
    assert share.mean() == 0.5 and drawn.shape == (0,), "a quarter of the draws lack a label"


def test_a_fold_without_a_value_of_any_label_makes_no_difference_larger() -> None:
    rng = np.random.default_rng(0)
    gains = [np.array([0.1, 0.2, 0.3, 0.4, np.nan]), np.array([0.3, 0.3, np.nan, 0.3, np.nan])]
    for own in (gains, [gains[0], np.r_[gains[1][:2], 0.3, 0.3, np.nan]]):
        draws = [np.where(np.isnan(one), np.nan, 0)[:, None] + rng.normal(0.3, 0.1, (5, 50)) for one in own]
        sides = [(one[:, None], drawn) for one, drawn in zip(own, draws, strict=True)]
        nothing = [(0 * point, 0 * drawn) for point, drawn in sides]
        means = [np.nanmean(one) for one in own if np.isnan(one).mean() <= 0.2]
        found = contrast(sides, nothing, n_test=60, n_train=240)
        assert found.mean == pytest.approx(np.mean(means))
        assert estimate_of_labels(sides).mean == pytest.approx(found.mean)
