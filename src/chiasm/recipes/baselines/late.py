"""`late-fusion`: the mean of unimodal predictions over the modalities a patient has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Outcome
from chiasm.fitting.base import Training
from chiasm.fitting.bent import SETTINGS
from chiasm.fitting.coefficients import Coefficients, joined
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.inner_choice import LINEAR_SETTINGS
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import Unimodal, fit_unimodal, held_out_priors, inner_folds
from chiasm.heads.response import slope_at_level
from chiasm.linear.slope import BOUNDS
from chiasm.linear.target_units import TargetUnits
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.patterns import learnable_patterns


@storable("late-fusion")
@dataclass(frozen=True)
class LateFusionPredictor:
    """Calibrated unimodal models, averaged on the link scale over the modalities present, with a slope for the pattern.

    Args:
        models: modality to its model, sorted by name.
        slopes: pattern of present modalities (`a+b`) to the slope of their mean.
        further: for patterns without one, what each modality beyond the first adds to a slope of one.
    """

    models: dict[str, Unimodal]
    slopes: dict[str, float] = field(default_factory=dict)
    further: float = 0.0

    @property
    def trained_parameters(self) -> int:
        return sum(model.trained_parameters for model in self.models.values()) + len(self.slopes)

    def coefficients(self) -> Coefficients | None:
        """Return the coefficients of the link of a patient with every modality; None where a model is not linear."""
        names = list(self.models)
        slope = float(slopes_for(self.slopes, self.further, names, np.ones((len(names), 1), bool))[0])
        return joined(
            [model.coefficients() for model in self.models.values()], dict.fromkeys(names, slope / len(names))
        )

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        links = np.stack([model.link(cohort) for model in self.models.values()])  # (M, B, K)
        names = list(self.models)
        present = present_in(cohort, names)
        slope = slopes_for(self.slopes, self.further, names, present)
        return mean_over_present(links, present, prior_of(self.models), slope)


def prior_of(models: Mapping[str, Unimodal]) -> np.ndarray:
    """Return the training-set prior link `(K,)`, the same for every modality."""
    return next(iter(models.values())).prior


def present_in(cohort: Cohort, names: list[str]) -> np.ndarray:
    """Return the presence `(M, B)`, bool, of these modalities; False for one that the cohort lacks."""
    nobody = np.zeros(len(cohort), bool)
    return np.stack(
        [cohort.present[:, cohort.modalities.index(n)] if n in cohort.modalities else nobody for n in names]
    )


def mean_over_present(links: np.ndarray, present: np.ndarray, prior: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Compute `prior + slope * mean of (link - prior)` over present modalities, from `(M, B, K)` to `(B, K)`.

    Links of absent modalities are ignored; a patient with no modality gets the prior.

    Args:
        present: `(M, B)` bool.
        prior: `(K,)`, or `(B, K)` where each patient has one of his own.
        slope: `(B,)`.
    """
    here = present[..., None]
    total = np.where(here, links - prior, 0.0).sum(0)
    return np.asarray(prior + slope[:, None] * (total / np.maximum(here.sum(0), 1)))


def slopes_for(slopes: Mapping[str, float], further: float, names: list[str], present: np.ndarray) -> np.ndarray:
    """Return the slope of each patient's pattern, `(B,)`: the one fitted, else `1 + further (modalities - 1)`."""
    out = np.ones(present.shape[1])
    for pattern in np.unique(present, axis=1).T:
        key = "+".join(name for name, here in zip(names, pattern, strict=True) if here)
        rows = (present == pattern[:, None]).all(0)
        out[rows] = slopes.get(key, max(1 + further * (pattern.sum() - 1), BOUNDS[0])) if key else 1.0
    return out


def slope_of(kind: str, links: np.ndarray, outcome: Outcome, folds: np.ndarray) -> float:
    """Fit the slope of the mean of out-of-fold links `(M, n, K)` of patients with all of a pattern.

    Links stand at their level among these patients, so that the slope does not say that a pattern goes with the
    outcome.

    Args:
        folds: inner fold that each link comes from, `(n,)`.
    """
    units = TargetUnits.of(kind, outcome)
    return slope_at_level(kind, units.number(links.mean(0)), units.inside(outcome), folds)


@dataclass(frozen=True)
class LateFusion(CrossFittedRecipe):
    """Mean of unimodal links, each calibrated on inner out-of-fold predictions; no joint training.

    The mean of several calibrated links is too small as far as each says what the others do not, so that every pattern
    of modalities has a slope of its own, fitted on out-of-fold links of patients who have all of it.
    """

    row: ClassVar[Row] = ROWS["late-fusion"]

    @property
    def settings(self) -> int:
        """Number of settings tried for each modality alone."""
        return LINEAR_SETTINGS + SETTINGS

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Fit every modality alone, and the slope of each pattern; averaging needs no further training."""
        cohort, kind = training.cohort, training.target.kind
        names, folds = list(cohort.modalities), inner_folds(cohort, training.seed)
        fitted = {name: fit_unimodal(training, name) for name in names}
        models = {name: model for name, (model, _) in fitted.items()}
        links, priors = np.stack([own for _, own in fitted.values()]), held_out_priors(training, prior_of(models))
        slopes, sizes = {}, {}
        for pattern, rows, known in learnable_patterns(training):
            key = "+".join(names[m] for m in pattern)
            slopes[key] = slope_of(kind, links[pattern][:, rows], known, folds[rows])
            sizes[key] = len(pattern) - 1
        squares = sum(size**2 for size in sizes.values())
        further = sum(size * (slopes[key] - 1) for key, size in sizes.items()) / max(squares, 1)
        present = cohort.present.T
        out_of_fold = mean_over_present(links, present, priors, slopes_for(slopes, further, names, present))
        return CrossFitted.of(training, LateFusionPredictor(models, slopes, further), out_of_fold, calibrate=True)
