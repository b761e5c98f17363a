"""`single:<modality>`: one modality alone, the line that every fusion must clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.heads.response import Response
from chiasm.protocols import Citation, Predictor
from chiasm.recipes.base import BaseRecipe, Training, require
from chiasm.recipes.unimodal import Prior, fit_unimodal, inner_folds, prior_link

RIDGE = Citation(
    "Ridge Regression: Biased Estimation for Nonorthogonal Problems",
    "Technometrics",
    1970,
    "https://doi.org/10.1080/00401706.1970.10488634",
)


@dataclass(frozen=True)
class Single(BaseRecipe):
    """A ridge (linear, logistic or Cox) on one modality, or an elastic net where inner folds prefer it.

    A patient who lacks the modality gets the prior of the training set.
    """

    modality: str

    id: ClassVar[str] = "single"
    family: ClassVar[str] = "single"
    needs: ClassVar[str] = "the modality it names"
    paper: ClassVar[Citation] = RIDGE
    has_prior: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"single:{self.modality}"

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` where the cohort lacks the modality, its encoder or a target."""
        if self.modality not in cohort.modalities:
            raise Unsupported(f"the cohort has no modality '{self.modality}': it has {', '.join(cohort.modalities)}")
        require(cohort.with_modalities([self.modality]), 1)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        return tuple(name for name in cohort.modalities if name == self.modality)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit on the patients who have the modality; where they are too few, the prior of the training set."""
        if self.modality not in training.cohort.modalities:
            prior = Prior(prior_link(training.target.kind, training.outcome, training.classes))
            return prior, Response.fit(training.target, prior.link(training.cohort), training.outcome, calibrate=False)
        model, out_of_fold = fit_unimodal(training, self.modality)
        rows = training.cohort.rows_of(self.modality)
        folds = inner_folds(training.cohort, training.seed)[rows]
        response = Response.fit(
            training.target, out_of_fold[rows], training.outcome.take(rows), calibrate=False, folds=folds
        )
        return model, response
