"""`ipf-lasso`: one lasso of all modalities, each under a penalty factor of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.fitting.base import Training
from chiasm.fitting.block_choice import require_size
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.row import Row
from chiasm.fitting.shared import shared_features
from chiasm.fitting.sparse_choice import MOST_TRIED, STEPS, choose_sparse_blocks
from chiasm.fitting.unimodal import columns_for_sparse, inner_folds
from chiasm.heads.response import calibration
from chiasm.linear.linear import Linear, stretched
from chiasm.linear.target_units import TargetUnits
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.early import columns


@storable("ipf-lasso")
@dataclass(frozen=True)
class IpfLassoPredictor:
    """One sparse linear model of the scaled columns of all modalities; an absent modality adds nothing.

    Args:
        features: modality to its fitted scaling, in the order of `means`.
        means: modality to the mean `(F_m,)` of its scaled columns over the training patients who have it.
        linear: linear model on the concatenated centred columns.
        factors: modality to its penalty relative to the freest modality's.
        slope, centre: calibration, from inner out-of-fold links.
    """

    features: dict[str, Any]
    means: dict[str, np.ndarray]
    linear: Linear
    factors: dict[str, float]
    slope: float
    centre: float

    @property
    def trained_parameters(self) -> int:
        """Number of nonzero coefficients and of intercepts."""
        return int(np.count_nonzero(self.linear.coef) + self.linear.intercept.size)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        raw = self.linear.linear_predictor(columns(cohort, self.features, self.means))
        return stretched(raw, self.slope, self.centre)


@dataclass(frozen=True)
class IpfLasso(CrossFittedRecipe):
    """Lasso whose penalty on each modality's columns is multiplied by a factor; inner folds select both.

    Args:
        l1_ratio: share of the L1 norm, above 0 and at most 1; the square of a factor multiplies the rest.
    """

    l1_ratio: float = 1.0

    row: ClassVar[Row] = ROWS["ipf-lasso"]

    def __post_init__(self) -> None:
        if not 0 < self.l1_ratio <= 1:
            raise ValueError(f"l1_ratio={self.l1_ratio} must lie above 0 and be at most 1")

    @property
    def settings(self) -> int:
        """Largest number of penalties times combinations of factors that are tried."""
        return STEPS * MOST_TRIED

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Select penalty and factors on inner folds and fit on all patients."""
        cohort, kind = training.cohort, training.target.kind
        features, means = {}, {}
        for name in cohort.modalities:
            features[name] = columns_for_sparse(training, name)
            means[name] = shared_features(cohort, name, features[name].features).mean(0)
        require_size(len(cohort), sum(map(len, means.values())), "patients")
        values = [np.asarray(columns(cohort, {name: features[name]}, {name: own})) for name, own in means.items()]
        folds, units = inner_folds(cohort, training.seed), TargetUnits.of(kind, training.outcome)
        inside = units.inside(training.outcome)
        found = choose_sparse_blocks(kind, values, inside, folds, training.classes, l1_ratio=self.l1_ratio)
        slope, centre = calibration(kind, found.links, inside, folds)
        linear = Linear(kind, np.concatenate(found.blocks) * units.scale, units.outside(found.intercept))
        factors = dict(zip(means, found.factors, strict=True))
        predictor = IpfLassoPredictor(features, means, linear, factors, slope, float(units.outside(centre)))
        links = units.outside(stretched(found.links, slope, centre))
        return CrossFitted.of(training, predictor, links, calibrate=False)
