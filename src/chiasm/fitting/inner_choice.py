"""A model among several by inner folds: what linear, kernel and tree models of one modality are chosen by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Outcome
from chiasm.heads.response import calibration
from chiasm.linear.boosted_trees import Booster, Growth
from chiasm.linear.elastic_net import STEPS, fit_elastic_net, penalty_grid
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.linear import Linear, fit_path, information

Array = NDArray[np.float64]
Folds = NDArray[np.int_]
# Ridge strengths in units of the information that a feature of unit variance carries (events, for survival): the grid
# means the same for few and many patients. Features are scaled so that the first component has unit variance.
PENALTIES = tuple(10.0**power for power in (-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0))
LINEAR_SETTINGS = len(PENALTIES) + STEPS
ROUNDS = (5, 10, 20, 40, 60)
HANDICAPS = (-2.0, 0.0)  # of log likelihood: how far behind trees may be after so many folds and still go on


@dataclass(frozen=True)
class Chosen:
    """The setting that inner folds prefer: fitted on all rows, with what was said of each row out of fold.

    Args:
        model: has `linear_predictor`.
        penalty: the chosen strength, in units of information, or the rounds of trees.
        slope, centre: calibration of the link, from the links out of fold.
        links: `(n, K)` calibrated, out of fold.
        levels: `(n, K)` the mean calibrated link over the rows that each row's model was fitted on: what `links` say
            beyond it holds of the row, and no held-out row was read for it.
        raw: `(n, K)` out of fold, before calibration.
        loss: of these.
    """

    model: Any
    penalty: float
    slope: float
    centre: float
    links: Array
    levels: Array
    raw: Array
    loss: float


def choose_penalty(
    kind: str,
    x: Array,
    outcome: Outcome,
    folds: Folds,
    classes: int | None,
    *,
    fit: Callable[..., list[Linear]] = fit_path,
    penalties: Sequence[float] = PENALTIES,
) -> Chosen:
    """Fit the path of penalties on each inner fold's training rows and keep the one of smallest `nll` on the rest.

    Of equally good ones it is the strongest.

    Args:
        fit: `fit_path`, or what takes the same arguments: which penalty it is.
        penalties: ascending, in units of information.
    """
    links: Array = np.zeros(0)
    levels: Array = np.zeros(0)
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        own = outcome.take(train)
        path = fit(kind, x[train], own, [p * information(kind, own) for p in penalties], classes=classes)
        if not links.size:
            links = np.zeros((len(penalties), len(x), len(path[0].intercept)))
            levels = np.zeros_like(links)
        mean = x[train].mean(0)[None, :]
        for k, linear in enumerate(path):
            links[k, test], levels[k, test] = linear.linear_predictor(x[test]), linear.linear_predictor(mean)
    likelihood = FoldLikelihood(kind, outcome, folds)
    losses = np.array([likelihood(link) for link in links])
    best = int(np.flatnonzero(losses <= losses.min() + 1e-9 * abs(losses.min()))[-1])
    # From the strongest penalty down to the chosen one: the warm start makes it the cheaper way.
    path = fit(kind, x, outcome, [p * information(kind, outcome) for p in penalties[best:]], classes=classes)
    return _chosen(kind, path[0], penalties[best], links[best], levels[best], outcome, folds, float(losses[best]))


def choose_sparse(
    kind: str, x: Array, outcome: Outcome, folds: Folds, classes: int | None, *, l1_ratio: float = 0.5
) -> Chosen:
    """An elastic net on columns, at the penalty of its own grid that inner folds prefer."""
    penalties = [p / information(kind, outcome) for p in penalty_grid(kind, x, outcome, l1_ratio=l1_ratio)]
    fit = partial(fit_elastic_net, l1_ratio=l1_ratio)
    return choose_penalty(kind, x, outcome, folds, classes, fit=fit, penalties=penalties)


def choose_trees(
    kind: str, x: Array, outcome: Outcome, folds: Folds, classes: int | None, rival: Array, seed: int
) -> Chosen | None:
    """Boosted trees of the number of rounds that inner folds prefer; None where they cannot win.

    They are given up after the first fold where they are behind the rival by two units of log likelihood at every
    number of rounds, and after the second where they are not ahead.

    Args:
        x: `(n, F)`, NaN where missing.
        rival: `(n, K)` links out of fold of the best other model.
    """
    links, levels = (np.zeros((len(ROUNDS), *rival.shape)) for _ in range(2))
    for number, fold in enumerate(np.unique(folds)):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        booster = Booster(kind, x[train], outcome.take(train), ROUNDS[-1], Growth(seed=seed), classes)
        links[:, test] = booster.links(x[test], ROUNDS)
        levels[:, test] = booster.links(x[train], ROUNDS).mean(1)[:, None]
        if number < len(HANDICAPS):
            seen = np.flatnonzero(np.isin(folds, np.unique(folds)[: number + 1]))
            own, of = outcome.take(seen), folds[seen]
            likelihood = FoldLikelihood(kind, own, of)
            ahead = likelihood(rival[seen]) - min(likelihood(link[seen]) for link in links)
            if ahead <= HANDICAPS[number]:
                return None
    likelihood = FoldLikelihood(kind, outcome, folds)
    losses = np.array([likelihood(link) for link in links])
    best = int(losses.argmin())
    trees = Booster(kind, x, outcome, ROUNDS[best], Growth(seed=seed), classes).trees(ROUNDS[best])
    return _chosen(kind, trees, float(ROUNDS[best]), links[best], levels[best], outcome, folds, float(losses[best]))


def _chosen(
    kind: str, model: Any, penalty: float, raw: Array, levels: Array, outcome: Outcome, folds: Folds, loss: float
) -> Chosen:
    slope, centre = calibration(kind, raw, outcome, folds)
    links, levels = (centre + slope * (own - centre) for own in (raw, levels))
    return Chosen(model, penalty, slope, centre, links, levels, raw, loss)
