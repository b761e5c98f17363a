"""One modality alone, by a ridge or an elastic net that inner folds choose: the part that linear baselines share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Cohort, CohortError, Outcome, fold_ids
from chiasm.encoders import features_of
from chiasm.encoders.scaling import Projected, Projection
from chiasm.heads.elastic_net import fit_elastic_net, penalty_grid
from chiasm.heads.linear import Linear, fit_path, information, nll
from chiasm.heads.response import calibration
from chiasm.recipes.base import Training
from chiasm.training.memo import remember

Array = NDArray[np.float64]
FOLDS = 5
COMPONENTS = 256
COLUMN_KINDS = ("table", "omics")  # a column means something; of tokens only their components are read
# Ridge strengths in units of the information that a feature of unit variance carries (events, for survival): the grid
# means the same for few and many patients. Features are scaled so that the first component has unit variance.
PENALTIES = tuple(10.0**power for power in (-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0))


@storable("prior")
@dataclass(frozen=True)
class Prior:
    """What is known of anybody, where a modality is too scarce to learn from: `link` is `(K,)`."""

    value: np.ndarray
    trained_parameters: int = 0

    def link(self, cohort: Cohort) -> Array:
        """`(B, K)`, the same for every patient."""
        return np.tile(self.value, (len(cohort), 1))


@storable("unimodal")
@dataclass(frozen=True)
class Unimodal:
    """A fitted linear predictor of one modality.

    Args:
        modality: its name.
        features: the fitted scaling of its columns.
        projection: their principal components; None where the linear model is sparse and reads the columns.
        linear: on the components, or the columns.
        penalty: the chosen strength, in units of information.
        slope, centre: calibration of the link, from inner out-of-fold links.
        prior: `(K,)` link of a patient who lacks the modality: what is known of anybody.
    """

    modality: str
    features: Any
    projection: Projection | None
    linear: Linear
    penalty: float
    slope: float
    centre: float
    prior: np.ndarray

    @property
    def trained_parameters(self) -> int:
        return int(np.count_nonzero(self.linear.coef) + self.linear.intercept.size)

    def components(self, cohort: Cohort) -> Array:
        """`(n, F)` what the linear model reads of the patients who have the modality."""
        scaled: Array = self.features.features(cohort.raw(self.modality))
        return scaled if self.projection is None else self.projection(scaled)

    def embedding(self, cohort: Cohort) -> Array:
        """`(B, F)` components, zeros (the training mean) where the modality is absent."""
        out = np.zeros((len(cohort), len(self.linear.coef)))
        out[cohort.rows_of(self.modality)] = self.components(cohort)
        return out

    def link(self, cohort: Cohort) -> Array:
        """`(B, K)` calibrated; the prior where the modality is absent."""
        out = np.tile(self.prior, (len(cohort), 1))
        if self.modality in cohort.modalities:
            rows = cohort.rows_of(self.modality)
            if len(rows):
                raw = self.linear.linear_predictor(self.components(cohort))
                out[rows] = self.centre + self.slope * (raw - self.centre)
        return out


def fit_unimodal(training: Training, modality: str) -> tuple[Unimodal, Array]:
    """The fitted modality, and its calibrated links on inner folds, `(B, K)`, NaN where it is absent.

    Columns are scaled and projected once, without labels, on the patients given; the penalty is the one of smallest
    negative log likelihood on inner folds, and the slope is fitted on their links. Columns of tokens are projected as
    they are and with unit variance each, and the same likelihood chooses.
    """
    key = ("unimodal", modality, training.seed)
    return remember(training.cohort.fingerprint, key, lambda: _fit(training, modality))


def _fit(training: Training, modality: str) -> tuple[Unimodal, Array]:
    cohort, outcome, kind, classes = training.cohort, training.outcome, training.target.kind, training.classes
    rows = cohort.rows_of(modality)
    known, folds = outcome.take(rows), inner_folds(cohort, training.seed)[rows]
    if len(np.unique(folds)) < 2:  # a scarce modality whose patients met in one inner fold
        folds = np.arange(len(rows)) % FOLDS
    raw = cohort.raw(modality)
    features = features_of(cohort, modality).fit(raw, [])
    scaled = features.features(raw)
    # Pixels share one unit, hand-made features none: which it is, inner folds say.
    columns = cohort.kinds[modality] in COLUMN_KINDS
    ways = (False,) if columns else (False, True)
    projections = [Projection.fit(scaled, COMPONENTS, alike=alike) for alike in ways]
    found: list[tuple[Projection | None, Chosen]] = [
        (projection, choose_penalty(kind, projection(scaled), known, folds, classes)) for projection in projections
    ]
    if kind in ("classification", "regression"):
        # Early fusion is sparse there: a modality alone may be too, or sparsity would pass for a gain of combining.
        projection = None if columns else min(found, key=lambda pair: pair[1].loss)[0]
        seen = scaled if projection is None else projection(scaled)
        found.append((projection, choose_sparse(kind, seen, known, folds, classes)))
    projection, chosen = min(found, key=lambda pair: pair[1].loss)
    out_of_fold = np.full((len(cohort), chosen.links.shape[1]), np.nan)
    out_of_fold[rows] = chosen.links
    prior = prior_link(kind, outcome, classes)
    model = Unimodal(modality, features, projection, chosen.linear, chosen.penalty, chosen.slope, chosen.centre, prior)
    return model, out_of_fold


@dataclass(frozen=True)
class Chosen:
    """A linear model at the penalty that inner folds prefer: fitted on all rows, with calibrated out-of-fold links."""

    linear: Linear
    penalty: float
    slope: float
    centre: float
    links: Array
    loss: float


def choose_penalty(
    kind: str,
    x: Array,
    outcome: Outcome,
    folds: NDArray[np.int_],
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
    paths: list[tuple[NDArray[np.int_], Array]] = []
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        own = outcome.take(train)
        path = fit(kind, x[train], own, [p * information(kind, own) for p in penalties], classes=classes)
        paths.append((test, np.stack([linear.linear_predictor(x[test]) for linear in path])))
    links = np.zeros((len(penalties), len(x), paths[0][1].shape[2]))
    for test, found in paths:
        links[:, test] = found
    losses = np.array([nll(kind, link, outcome, folds) for link in links])
    best = int(np.flatnonzero(losses <= losses.min() + 1e-9 * abs(losses.min()))[-1])
    slope, centre = calibration(kind, links[best], outcome, folds)
    # From the strongest penalty down to the chosen one: the warm start makes it the cheaper way.
    path = fit(kind, x, outcome, [p * information(kind, outcome) for p in penalties[best:]], classes=classes)
    return Chosen(path[0], penalties[best], slope, centre, centre + slope * (links[best] - centre), float(losses[best]))


def columns_for_sparse(training: Training, modality: str) -> Any:
    """What a sparse model reads of a modality, fitted: the columns of a table, the components of tokens."""
    model = fit_unimodal(training, modality)[0]
    return (
        model.features
        if model.projection is None or training.cohort.kinds[modality] in COLUMN_KINDS
        else Projected(model.features, model.projection)
    )


def choose_sparse(
    kind: str, x: Array, outcome: Outcome, folds: NDArray[np.int_], classes: int | None, *, l1_ratio: float = 0.5
) -> Chosen:
    """An elastic net on columns, at the penalty of its own grid that inner folds prefer."""
    penalties = [p / information(kind, outcome) for p in penalty_grid(kind, x, outcome, l1_ratio=l1_ratio)]
    fit = partial(fit_elastic_net, l1_ratio=l1_ratio)
    return choose_penalty(kind, x, outcome, folds, classes, fit=fit, penalties=penalties)


def inner_folds(cohort: Cohort, seed: int) -> NDArray[np.int_]:
    """`(B,)` inner folds of a training cohort, the same for every modality: five, or as many as its events allow."""
    for folds in range(FOLDS, 2, -1):
        try:
            return fold_ids(cohort, folds, seed=seed)
        except CohortError:
            continue
    return fold_ids(cohort, 2, seed=seed)


def prior_link(kind: str, outcome: Outcome, classes: int | None) -> Array:
    """`(K,)`: log class frequencies, log odds of labels, the mean, or the mean log hazard, which is zero."""
    if kind == "multilabel":
        have, lack = ((outcome.value == code).sum(axis=0) + 0.5 for code in (1, 0))
        return np.asarray(np.log(have / lack))
    if kind == "classification":
        counts = np.bincount(outcome.value.astype(int), minlength=classes or 0) + 0.5
        return np.asarray(np.log(counts / counts.sum()))
    return np.array([float(outcome.value.mean()) if kind == "regression" else 0.0])
