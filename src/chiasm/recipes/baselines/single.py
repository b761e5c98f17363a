"""`single:<modality>`: one modality alone, the baseline that every fusion must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training, choice, require
from chiasm.fitting.bent import SETTINGS
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.inner_choice import LINEAR_SETTINGS
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import Prior, beyond_prior, fit_unimodal, held_out_priors
from chiasm.heads.response import Response
from chiasm.recipes.baselines import ROWS


@dataclass(frozen=True)
class Single(CrossFittedRecipe):
    """A ridge (linear, logistic or Cox), an elastic net, a Gaussian kernel or boosted trees on one modality.

    Inner folds select the model. A patient without the modality gets the training-set prior; a patient with it gets the
    prior plus the model's link less its mean over those who have the modality, so presence itself is not read.

    Args:
        modality: name of the modality.
        models: "all", or "linear" for a ridge or an elastic net only.
    """

    modality: str
    models: str = "all"

    row: ClassVar[Row] = ROWS["single"]
    has_prior: ClassVar[bool] = True

    def __post_init__(self) -> None:
        choice("models", self.models, ("all", "linear"))

    @property
    def name(self) -> str:
        return f"single:{self.modality}" + (f",models={self.models}" if self.models != "all" else "")

    @property
    def settings(self) -> int:
        """Number of settings: penalties of ridge and elastic net, kernel widths times penalties, rounds of trees."""
        return LINEAR_SETTINGS + (SETTINGS if self.models == "all" else 0)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if the cohort lacks the modality, its encoder or a target."""
        if self.modality not in cohort.modalities:
            raise Unsupported(f"the cohort has no modality '{self.modality}': it has {', '.join(cohort.modalities)}")
        require(cohort.with_modalities([self.modality]), 1)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        return tuple(name for name in cohort.modalities if name == self.modality)

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Fit on the patients who have the modality; if they are too few, return the training-set prior."""
        if self.modality not in training.cohort.modalities:
            prior = Prior(prior_link(training.target, training.outcome, training.classes))
            links = prior.link(training.cohort)
            response = Response.fit(training.target, links, training.outcome, calibrate=False)
            return CrossFitted(prior, links, np.zeros(len(links), int), response)
        model, out_of_fold = fit_unimodal(training, self.modality, self.models)
        links = beyond_prior(out_of_fold, held_out_priors(training, model.prior))
        return CrossFitted.of(training, model, links, calibrate=False)
