"""`early-fusion`: one linear model of all modalities concatenated, an elastic net or a ridge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.compute.memo import remember
from chiasm.encoders.table.scaling import Projection
from chiasm.fitting.base import Training
from chiasm.fitting.coefficients import Coefficients, feature_names, parted, through
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.inner_choice import LINEAR_SETTINGS, choose_penalty, choose_sparse
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import COMPONENTS, Unimodal, columns_for_sparse, fit_unimodal, inner_folds
from chiasm.linear.linear import Linear, stretched
from chiasm.linear.losses import LOSSES
from chiasm.linear.shared_rows import Rows
from chiasm.linear.shared_rows import side_by_side as beside
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.columns import columns, means_of


@storable("early-elastic-net")
@dataclass(frozen=True)
class EarlyElasticNetPredictor:
    """One elastic net on the scaled columns of all modalities; an absent modality is imputed by its training mean.

    Args:
        features: modality to its fitted scaling, sorted by name.
        means: modality to the mean `(F_m,)` of its scaled columns over the training patients who have it.
        linear: linear model on the concatenated centred columns.
        slope, centre: calibration, from inner out-of-fold links.
        presence: modality to the share of training patients who have it, for modalities whose presence is read too.
    """

    features: dict[str, Any]
    means: dict[str, np.ndarray]
    linear: Linear
    slope: float
    centre: float
    presence: dict[str, float] = field(default_factory=dict)

    @property
    def trained_parameters(self) -> int:
        """Number of nonzero coefficients and of intercepts."""
        return int(np.count_nonzero(self.linear.coef) + self.linear.intercept.size)

    def coefficients(self) -> Coefficients:
        """Return the coefficients of the calibrated link by modality and column; those of presence are left out."""
        features = {name: self.features[name] for name in self.means}
        return parted(features, [len(mean) for mean in self.means.values()], self.slope * self.linear.coef)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        seen = with_presence(columns(cohort, self.features, self.means), cohort, self.presence)
        raw = self.linear.linear_predictor(seen)
        return stretched(raw, self.slope, self.centre)


@storable("early-fusion")
@dataclass(frozen=True)
class EarlyFusionPredictor:
    """One ridge on the components of all modalities; an absent modality is imputed by its training mean.

    A linear model of concatenated modalities cannot do without imputation. Components are centred on training rows, so
    the mean is zero.

    Args:
        models: modality to its scaling, projection and own penalty.
        shares: modality to the weight of its components, `sqrt(smallest penalty / own penalty)`.
        projection: projection of the concatenated weighted components.
        linear: linear model on the projected components.
        slope, centre: calibration, from inner out-of-fold links.
        presence: modality to the share of training patients who have it, for modalities whose presence is read too.
    """

    models: dict[str, Unimodal]
    shares: dict[str, float]
    projection: Projection
    linear: Linear
    slope: float
    centre: float
    presence: dict[str, float] = field(default_factory=dict)

    @property
    def trained_parameters(self) -> int:
        return int(self.linear.coef.size + self.linear.intercept.size)

    def coefficients(self) -> Coefficients:
        """Return the coefficients of the calibrated link by modality and column; those of presence are left out."""
        coef, start, found = self.slope * through(self.projection, self.linear.coef), 0, Coefficients()
        for name in sorted(self.models):
            model, width = self.models[name], len(self.models[name].linear.coef)
            own = through(model.projection, coef[start : start + width] * self.shares[name])
            found[name], start = (feature_names(model.features, len(own)), own), start + width
        return found

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        seen = with_presence(side_by_side(cohort, self.models, self.shares), cohort, self.presence)
        raw = self.linear.linear_predictor(self.projection(np.asarray(seen)))
        return stretched(raw, self.slope, self.centre)


def side_by_side(cohort: Cohort, models: Mapping[str, Unimodal], shares: Mapping[str, float]) -> np.ndarray:
    """Concatenate weighted components to `(B, sum of F_m)`, modalities sorted by name; zeros where absent."""
    blocks = []
    for name in sorted(models):
        block = np.zeros((len(cohort), len(models[name].linear.coef)))
        if name in cohort.modalities and len(cohort.rows_of(name)):
            block[cohort.rows_of(name)] = models[name].components(cohort) * shares[name]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def with_presence(values: Rows, cohort: Cohort, shares: Mapping[str, float]) -> Rows:
    """Append a presence column per modality in `shares`, 0 or 1 less the share: `(B, F)` to `(B, F + P)`."""
    blocks: list[Rows] = [values]
    for name, share in shares.items():
        here = cohort.present[:, cohort.modalities.index(name)] if name in cohort.modalities else np.zeros(len(cohort))
        blocks.append(np.asarray(here - share, np.float64)[:, None])
    return beside(blocks) if shares else values


def presence_shares(training: Training) -> dict[str, float]:
    """Return the share of training patients with each modality, for modalities that not all patients have."""
    shares = dict(zip(training.cohort.modalities, training.cohort.present.mean(0).tolist(), strict=True))
    return {name: share for name, share in shares.items() if share < 1}


@dataclass(frozen=True)
class EarlyFusion(CrossFittedRecipe):
    """Linear model of concatenated modalities: an elastic net, or a ridge (Cox, logistic) for survival and multilabel.

    The elastic net reads scaled columns, not components, because dropping single coordinates of a rotation has no
    meaning; only tokens, whose columns have no meaning either, enter as components. Modalities are not weighted: all
    columns are on one scale under one penalty. The advantage of a wide modality, that the best of F noise columns looks
    good by chance, grows only with sqrt(log F); inner folds select the penalty that keeps such columns out and strong
    columns of any modality in.

    The ridge reads components, and each modality keeps the penalty selected for it alone, up to one common factor
    that inner folds select.

    Args:
        l1_ratio: share of the L1 norm in the elastic net's penalty, above 0 and at most 1; ignored by the ridge.
        presence: also read which modalities a patient has, one column per modality.
    """

    l1_ratio: float = 0.5
    presence: bool = False

    row: ClassVar[Row] = ROWS["early-fusion"]

    def __post_init__(self) -> None:
        if not 0 < self.l1_ratio <= 1:
            raise ValueError(f"l1_ratio={self.l1_ratio} must lie above 0 and be at most 1")

    @property
    def reads_presence(self) -> bool:
        """True only if `presence` is set: absent columns are imputed by the mean on which they are centred."""
        return self.presence

    @property
    def settings(self) -> int:
        """Number of penalties tried for the joint model; each modality alone tries as many."""
        return LINEAR_SETTINGS

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Select the penalty on inner folds and fit on all patients."""
        folds = inner_folds(training.cohort, training.seed)
        sparse = LOSSES[training.target.kind].has_elastic_net
        learn = partial(learn_elastic_net, l1_ratio=self.l1_ratio) if sparse else learn_ridge
        shares = presence_shares(training) if self.presence else {}
        key = (self, training.seed)
        predictor, links = remember(training.cohort.fingerprint, key, lambda: learn(training, folds, shares))
        return CrossFitted.of(training, predictor, links, calibrate=False)


def learn_elastic_net(
    training: Training, folds: np.ndarray, presence: dict[str, float], *, l1_ratio: float
) -> tuple[Predictor, np.ndarray]:
    """Fit the elastic net with the penalty selected by inner folds; also return its out-of-fold links `(B, K)`."""
    cohort, outcome, kind = training.cohort, training.outcome, training.target.kind
    features = {name: columns_for_sparse(training, name) for name in cohort.modalities}
    means = means_of(cohort, features)
    x = with_presence(columns(cohort, features, means), cohort, presence)
    chosen = choose_sparse(kind, x, outcome, folds, training.classes, l1_ratio=l1_ratio)
    predictor = EarlyElasticNetPredictor(features, means, chosen.model, chosen.slope, chosen.centre, presence)
    return predictor, chosen.links


def learn_ridge(training: Training, folds: np.ndarray, presence: dict[str, float]) -> tuple[Predictor, np.ndarray]:
    """Fit the ridge with each modality's own penalty times a common factor; also return its out-of-fold links."""
    cohort = training.cohort
    models = {name: fit_unimodal(training, name, "linear")[0] for name in cohort.modalities}
    least = min(model.penalty for model in models.values())
    shares = {name: math.sqrt(least / model.penalty) for name, model in models.items()}
    values = np.asarray(with_presence(side_by_side(cohort, models, shares), cohort, presence))
    projection = Projection.fit(values, COMPONENTS)
    chosen = choose_penalty(training.target.kind, projection(values), training.outcome, folds, training.classes)
    predictor = EarlyFusionPredictor(models, shares, projection, chosen.model, chosen.slope, chosen.centre, presence)
    return predictor, chosen.links
