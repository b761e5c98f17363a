"""`late-fusion`: the mean of unimodal predictions over the modalities a patient has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.fitting.base import Training
from chiasm.fitting.bent import SETTINGS
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.inner_choice import LINEAR_SETTINGS
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import Unimodal, fit_unimodal
from chiasm.recipes.baselines import ROWS


@storable("late-fusion")
@dataclass(frozen=True)
class LateFusionPredictor:
    """Calibrated unimodal models, averaged on the link scale over the modalities present."""

    models: dict[str, Unimodal]

    @property
    def trained_parameters(self) -> int:
        return sum(model.trained_parameters for model in self.models.values())

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        links = np.stack([model.link(cohort) for model in self.models.values()])  # (M, B, K)
        return mean_over_present(links, present_in(cohort, list(self.models)), prior_of(self.models))


def prior_of(models: Mapping[str, Unimodal]) -> np.ndarray:
    """Return the training-set prior link `(K,)`, the same for every modality."""
    return next(iter(models.values())).prior


def present_in(cohort: Cohort, names: list[str]) -> np.ndarray:
    """Return the presence `(M, B)`, bool, of these modalities; False for one that the cohort lacks."""
    nobody = np.zeros(len(cohort), bool)
    return np.stack(
        [cohort.present[:, cohort.modalities.index(n)] if n in cohort.modalities else nobody for n in names]
    )


def mean_over_present(links: np.ndarray, present: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Compute `prior + mean of (link - prior)` over present modalities, from `(M, B, K)` and `(M, B)` to `(B, K)`.

    Links of absent modalities are ignored; a patient with no modality gets the prior.
    """
    here = present[..., None]
    total = np.where(here, links - prior, 0.0).sum(0)
    return np.asarray(prior + total / np.maximum(here.sum(0), 1))


@dataclass(frozen=True)
class LateFusion(CrossFittedRecipe):
    """Mean of unimodal links, each calibrated on inner out-of-fold predictions; no joint training."""

    row: ClassVar[Row] = ROWS["late-fusion"]

    @property
    def settings(self) -> int:
        """Number of settings tried for each modality alone."""
        return LINEAR_SETTINGS + SETTINGS

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Fit every modality alone; averaging needs no further training."""
        fitted = {name: fit_unimodal(training, name) for name in training.cohort.modalities}
        predictor = LateFusionPredictor({name: model for name, (model, _) in fitted.items()})
        links = np.stack([own for _, own in fitted.values()])
        out_of_fold = mean_over_present(links, training.cohort.present.T, prior_of(predictor.models))
        return CrossFitted.of(training, predictor, out_of_fold, calibrate=True)
