"""`priority-lasso`: modalities in the order of their priority, each a lasso on what those before it left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training
from chiasm.fitting.block_choice import require_size
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.coefficients import Coefficients, feature_names
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.row import Row
from chiasm.fitting.sparse_choice import STEPS, choose_sparse_blocks
from chiasm.fitting.unimodal import FOLDS, columns_for_sparse, inner_folds
from chiasm.heads.response import calibration
from chiasm.linear.linear import stretched
from chiasm.linear.target_units import TargetUnits
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.columns import columns, means_of
from chiasm.recipes.baselines.patterns import MIN_PATIENTS


@storable("priority-lasso")
@dataclass(frozen=True)
class PriorityLassoPredictor:
    """The prior, plus what each modality adds to those of higher priority; an absent modality adds nothing.

    Args:
        order: modalities, the one of highest priority first.
        features: modality to its fitted scaling.
        means: modality to the mean `(F_m,)` of its scaled columns over the training patients who have it.
        coef: modality to its coefficients `(F_m, K)`; zero for one that too few training patients have.
        prior: `(K,)` link of a patient without any modality.
        slope, centre: calibration, from inner out-of-fold links.
    """

    order: tuple[str, ...]
    features: dict[str, Any]
    means: dict[str, np.ndarray]
    coef: dict[str, np.ndarray]
    prior: np.ndarray
    slope: float
    centre: float

    @property
    def trained_parameters(self) -> int:
        """Number of nonzero coefficients and of intercepts."""
        return sum(int(np.count_nonzero(own)) for own in self.coef.values()) + len(self.prior)

    def coefficients(self) -> Coefficients:
        """Return the coefficients of the calibrated link by modality and column."""
        return {
            name: (feature_names(self.features[name], len(own)), self.slope * own) for name, own in self.coef.items()
        }

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        raw = np.tile(self.prior, (len(cohort), 1))
        for name in self.order:
            raw += columns(cohort, {name: self.features[name]}, {name: self.means[name]}) @ self.coef[name]
        return stretched(raw, self.slope, self.centre)


@dataclass(frozen=True)
class PriorityLasso(CrossFittedRecipe):
    """A lasso for each modality in turn, on the cross-fitted link of those before it as its offset.

    Args:
        order: modalities by priority, joined by "+", the first of highest; by default from the fewest columns to the
            most, which puts clinical variables first.
        l1_ratio: share of the L1 norm, above 0 and at most 1.
    """

    order: str = ""
    l1_ratio: float = 1.0

    row: ClassVar[Row] = ROWS["priority-lasso"]

    def __post_init__(self) -> None:
        if not 0 < self.l1_ratio <= 1:
            raise ValueError(f"l1_ratio={self.l1_ratio} must lie above 0 and be at most 1")
        if len(set(self.named)) < len(self.named):
            raise ValueError(f"order={self.order} names a modality twice")

    @property
    def named(self) -> tuple[str, ...]:
        """Modalities that the order names."""
        return tuple(filter(None, (name.strip() for name in self.order.split("+"))))

    @property
    def settings(self) -> int:
        """Number of penalties tried for each modality."""
        return STEPS

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if the order names a modality that is not there, or leaves one out."""
        super().supports(cohort)
        if self.named and set(self.named) != set(cohort.modalities):
            known = ", ".join(cohort.modalities)
            raise Unsupported(f"order={self.order} must name each modality once, and the cohort's are {known}")

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Fit one modality after another, each on the patients who have it, its penalty selected by inner folds.

        A free intercept takes up what the presence of a modality says of the outcome, and is dropped: it is not read.
        """
        cohort, kind, classes = training.cohort, training.target.kind, training.classes
        features = {name: columns_for_sparse(training, name) for name in cohort.modalities}
        means, coef = means_of(cohort, features), {}
        require_size(len(cohort), max(map(len, means.values())), "patients")
        order = tuple(name for name in self.named if name in means) or tuple(
            sorted(means, key=lambda name: (len(means[name]), name))
        )
        folds, units = inner_folds(cohort, training.seed), TargetUnits.of(kind, training.outcome)
        inside = units.inside(training.outcome)
        prior = prior_link(training.target, inside, classes)
        link = np.tile(prior, (len(cohort), 1))  # cross-fitted
        for name in order:
            rows = cohort.rows_of(name)
            known, own = inside.take(rows), folds[rows]
            coef[name] = np.zeros((len(means[name]), len(prior)))
            if len(rows) < MIN_PATIENTS or not training.target.learnable(known):
                continue
            if len(np.unique(own)) < 2:  # a rare modality whose patients all fell in one inner fold
                own = np.arange(len(rows)) % FOLDS
            values = np.asarray(columns(cohort, {name: features[name]}, {name: means[name]}))[rows]
            found = choose_sparse_blocks(kind, [values], known, own, classes, l1_ratio=self.l1_ratio, offset=link[rows])
            coef[name] = found.blocks[0]
            link[rows] += found.parts
        slope, centre = calibration(kind, link, inside, folds)
        predictor = PriorityLassoPredictor(
            order,
            features,
            means,
            {name: own * units.scale for name, own in coef.items()},
            units.outside(prior),
            slope,
            units.fixed_point(centre),
        )
        links = units.outside(stretched(link, slope, centre))
        return CrossFitted.of(training, predictor, links, calibrate=False)
