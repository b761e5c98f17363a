"""`ipf-lasso`: one lasso of all modalities, each under a penalty factor of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.fitting.base import Training
from chiasm.fitting.block_choice import require_size
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.row import Row
from chiasm.fitting.sparse_choice import MOST_TRIED, STEPS, choose_sparse_blocks
from chiasm.fitting.unimodal import columns_for_sparse, inner_folds
from chiasm.heads.response import calibration
from chiasm.linear.linear import Linear, stretched
from chiasm.linear.target_units import TargetUnits
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.columns import blocks_of, means_of
from chiasm.recipes.baselines.multi_ridge import MultiRidgePredictor


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
        features = {name: columns_for_sparse(training, name) for name in cohort.modalities}
        means = means_of(cohort, features)
        require_size(len(cohort), sum(map(len, means.values())), "patients")
        values = blocks_of(cohort, features, means)
        folds, units = inner_folds(cohort, training.seed), TargetUnits.of(kind, training.outcome)
        inside = units.inside(training.outcome)
        found = choose_sparse_blocks(kind, values, inside, folds, training.classes, l1_ratio=self.l1_ratio)
        slope, centre = calibration(kind, found.links, inside, folds)
        linear = Linear(kind, np.concatenate(found.blocks) * units.scale, units.outside(found.intercept))
        penalties = {name: found.penalty * factor for name, factor in zip(means, found.factors, strict=True)}
        predictor = MultiRidgePredictor(features, means, linear, penalties, slope, units.fixed_point(centre))
        links = units.outside(stretched(found.links, slope, centre))
        return CrossFitted.of(training, predictor, links, calibrate=False)
