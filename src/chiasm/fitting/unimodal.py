"""Model of one modality alone, selected by inner folds; shared by the linear baselines.

A ridge or an elastic net is always fitted, because other recipes read its components and its penalty. A Gaussian
kernel or boosted trees are added where inner folds prefer them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Cohort, CohortError, fold_ids
from chiasm.compute.memo import remember
from chiasm.encoders import features_of
from chiasm.encoders.sharing import different_raw
from chiasm.encoders.table.scaling import Projected, Projection
from chiasm.fitting.base import Training
from chiasm.fitting.bent import Part, bent_rivals
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.coefficients import Coefficients, feature_names, through
from chiasm.fitting.inner_choice import choose_penalty, choose_sparse
from chiasm.fitting.refitted import Chosen
from chiasm.fitting.shared import projected, shared_features
from chiasm.linear.linear import Linear, stretched
from chiasm.linear.losses import LOSSES
from chiasm.linear.shared_rows import mapped

Array = NDArray[np.float64]
FOLDS = 5
COMPONENTS = 256
MARGIN = 1.0  # log-likelihood gain over the linear model that a kernel or trees need, as some gain arises by chance
COLUMN_KINDS = ("table", "omics")  # single columns have a meaning; of tokens only the components are read


@storable("prior")
@dataclass(frozen=True)
class Prior:
    """Training-set prior as a predictor, for a modality that is too rare to learn from; `value` is the link `(K,)`."""

    value: np.ndarray
    trained_parameters: int = 0

    def __post_init__(self) -> None:
        if self.value.ndim != 1:
            raise ValueError("the link of a prior is one number for each output")

    def link(self, cohort: Cohort) -> Array:
        """Return the prior link `(B, K)`, the same for every patient."""
        return np.tile(self.value, (len(cohort), 1))


@storable("unimodal")
@dataclass(frozen=True)
class Unimodal:
    """A fitted predictor of one modality.

    Args:
        modality: name of the modality.
        features: the fitted scaling of its columns.
        projection: principal components of the columns; None if the linear model is sparse and reads the columns.
        linear: linear model on the components or the columns.
        penalty: the selected penalty of the linear model, in units of information.
        slope, centre: calibration of the link, from inner out-of-fold links.
        prior: link of a patient without the modality, `(K,)`: the training-set prior.
        level: mean calibrated link of the training patients who have the modality, `(K,)`; None in models of older
            versions, whose link is not a deviation from it.
        bent: kernel machine or trees, if inner folds preferred them to the linear model; else None.
    """

    modality: str
    features: Any
    projection: Projection | None
    linear: Linear
    penalty: float
    slope: float
    centre: float
    prior: np.ndarray
    level: np.ndarray | None = None
    bent: Any = None

    @property
    def trained_parameters(self) -> int:
        if self.bent is not None:
            return int(self.bent.trained_parameters)
        return int(np.count_nonzero(self.linear.coef) + self.linear.intercept.size)

    def coefficients(self) -> Coefficients | None:
        """Return the coefficients of the calibrated link by column; None where a kernel or trees were preferred."""
        if self.bent is not None:
            return None
        own = self.slope * through(self.projection, self.linear.coef)
        return {self.modality: (feature_names(self.features, len(own)), own)}

    def components(self, cohort: Cohort) -> Array:
        """Return the inputs `(n, F)` of the linear model for the patients who have the modality."""
        raw, shared = different_raw(cohort, self.modality)
        seen = self._inputs(raw)
        return seen if shared is None else seen[shared.index]

    def embedding(self, cohort: Cohort) -> Array:
        """Return the components `(B, F)`, with zeros (the training mean) where the modality is absent."""
        out = np.zeros((len(cohort), len(self.linear.coef)))
        out[cohort.rows_of(self.modality)] = self.components(cohort)
        return out

    def calibrated(self, cohort: Cohort) -> Array:
        """Return the calibrated link `(n, K)` of the patients who have the modality, without shift to the prior."""
        raw, shared = different_raw(cohort, self.modality)
        if self.bent is not None:
            link = self.bent.raw_link(self.features, raw)
        else:
            link = self.linear.linear_predictor(self._inputs(raw))
        own = stretched(link, self.slope, self.centre)
        return own if shared is None else own[shared.index]

    def _inputs(self, raw: Any) -> Array:
        scaled: Array = self.features.features(raw)
        return scaled if self.projection is None else self.projection(scaled)

    def link(self, cohort: Cohort) -> Array:
        """Return the link `(B, K)`: the prior, plus the calibrated link less `level` where the modality is present."""
        out = np.tile(self.prior, (len(cohort), 1))
        if self.modality in cohort.modalities:
            rows = cohort.rows_of(self.modality)
            if len(rows):
                own = self.calibrated(cohort)
                out[rows] = own if self.level is None else self.prior + (own - self.level)
        return out


@dataclass(frozen=True)
class _Straight:
    """The linear model with the data for its nonlinear rivals, fitted once and reused."""

    model: Unimodal
    chosen: Chosen
    part: Part


def fit_unimodal(training: Training, modality: str, models: str = "all") -> tuple[Unimodal, Array]:
    """Fit one modality; return the model and its out-of-fold links `(B, K)`, NaN where the modality is absent.

    Columns are scaled and projected once, without labels, on the patients given; the selected setting has the smallest
    negative log likelihood on inner folds, and the slope is fitted on their links. Columns of tokens are projected both
    as they are and scaled to unit variance, and the same likelihood decides. An out-of-fold link is the prior plus the
    fold model's link less its mean over the rows that it was fitted on, by analogy with `Unimodal.link`.

    Args:
        models: "all", or "linear" for a ridge or an elastic net alone.
    """
    key = ("unimodal", modality, training.seed, models)
    return remember(training.cohort.fingerprint, key, lambda: _fit(training, modality, models))


def _fit(training: Training, modality: str, models: str) -> tuple[Unimodal, Array]:
    cohort, straight = training.cohort, _remembered(training, modality)
    model, chosen = straight.model, straight.chosen
    if models == "all":
        for bent, own in bent_rivals(straight.part, cohort.raw(modality), chosen):
            if own.loss < min(chosen.loss, straight.chosen.loss - MARGIN):
                model, chosen = replace(model, bent=bent, slope=own.slope, centre=own.centre), own
    if model is not straight.model:
        model = replace(model, level=model.calibrated(cohort).mean(0))
    out_of_fold = np.full((len(cohort), chosen.links.shape[1]), np.nan)
    rows = cohort.rows_of(modality)
    out_of_fold[rows] = held_out_priors(training, model.prior)[rows] + (chosen.links - chosen.levels)
    return model, out_of_fold


def part_of_training(training: Training, modality: str, folds: NDArray[np.int_]) -> Part:
    """Return what models of one modality are fitted on, for models of several that read it in the same way.

    Args:
        folds: inner folds `(B,)` of this training set and seed.
    """
    return _remembered(training, modality, folds).part


def _remembered(training: Training, modality: str, folds: NDArray[np.int_] | None = None) -> _Straight:
    key = ("straight", modality, training.seed)
    return remember(training.cohort.fingerprint, key, lambda: _straight(training, modality, folds))


def _straight(training: Training, modality: str, folds: NDArray[np.int_] | None) -> _Straight:
    cohort, outcome, kind, classes = training.cohort, training.outcome, training.target.kind, training.classes
    rows = cohort.rows_of(modality)
    known, folds = outcome.take(rows), (inner_folds(cohort, training.seed) if folds is None else folds)[rows]
    if len(np.unique(folds)) < 2:  # a rare modality whose patients all fell in one inner fold
        folds = np.arange(len(rows)) % FOLDS
    features = features_of(cohort, modality).fit(cohort.raw(modality), [])
    scaled = shared_features(cohort, modality, features.features)
    # Pixels share one unit, handcrafted features do not: inner folds decide whether to scale the columns.
    columns = cohort.kinds[modality] in COLUMN_KINDS
    ways = (False,) if columns else (False, True)
    projections = [projected(scaled, COMPONENTS, alike=alike) for alike in ways]
    ridges = [(own, choose_penalty(kind, mapped(own, scaled), known, folds, classes)) for own in projections]
    projection, chosen = min(ridges, key=lambda pair: pair[1].loss)
    seen, width = mapped(projection, scaled), scaled.shape[1]
    part = Part(kind, known, folds, classes, features, projection, seen, width, columns, training.seed)
    read: Projection | None = projection
    if LOSSES[kind].has_elastic_net:
        # Early fusion is sparse for these kinds: one modality may be too, or sparsity would pass for a fusion gain.
        own = None if columns else projection
        sparse = choose_sparse(kind, scaled if own is None else seen, known, folds, classes)
        if sparse.loss < chosen.loss:
            read, chosen = own, sparse
    prior = prior_link(training.target, outcome, classes)
    link = chosen.model.linear_predictor(scaled if read is None else seen)
    level = stretched(link, chosen.slope, chosen.centre).mean(0)
    model = Unimodal(modality, features, read, chosen.model, chosen.penalty, chosen.slope, chosen.centre, prior, level)
    return _Straight(model, chosen, part)


def held_out_priors(training: Training, prior: Array) -> Array:
    """Return the prior `(B, K)` as held-out patients get it: of a choice, from the patients of the other inner folds.

    Of other kinds it is one number a class, which a patient's own outcome hardly moves, and is that of all.
    """
    priors = np.tile(prior, (len(training.cohort), 1))
    if training.target.has_options:
        folds = inner_folds(training.cohort, training.seed)
        for fold in np.unique(folds):
            priors[folds == fold] = prior_link(training.target, training.outcome.take(folds != fold), None)
    return priors


def beyond_prior(links: Array, prior: Array) -> Array:
    """Replace NaN links `(B, K)`, of patients without the modality, by the prior, `(K,)` or `(B, K)`."""
    return np.where(np.isnan(links), prior, links)


def columns_for_sparse(training: Training, modality: str) -> Any:
    """Return the fitted features that a sparse model reads: the columns of a table, or the components of tokens."""
    model = fit_unimodal(training, modality, "linear")[0]
    return (
        model.features
        if model.projection is None or training.cohort.kinds[modality] in COLUMN_KINDS
        else Projected(model.features, model.projection)
    )


def inner_folds(cohort: Cohort, seed: int, most: int = FOLDS) -> NDArray[np.int_]:
    """Return inner fold ids `(B,)`, the same for every modality: five folds, or as many as the events allow.

    They are drawn once for all modalities and recipes: of groups that costs as much as fitting a ridge.
    """
    return remember(cohort.fingerprint, ("inner folds", seed, most), lambda: _drawn(cohort, seed, most)).copy()


def _drawn(cohort: Cohort, seed: int, most: int) -> NDArray[np.int_]:
    for folds in range(most, 2, -1):
        try:
            return fold_ids(cohort, folds, seed=seed)
        except CohortError:
            continue
    return fold_ids(cohort, 2, seed=seed)
