"""Recipes that know what they would have said of each training patient without having seen the patient."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from chiasm.fitting.base import BaseRecipe, Training
from chiasm.fitting.unimodal import inner_folds
from chiasm.heads.response import Response, within_models
from chiasm.protocols import Predictor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CrossFitted:
    """A predictor fitted on all training patients, with the link of each of them from models of other patients.

    Args:
        predictor: the predictor, fitted on all n training patients.
        links: `(n, K)` out-of-fold links, finite for every patient, in the cohort's sorted row order; the prior for a
            patient of whom nothing is read.
        folds: `(n,)` the inner fold that each link comes from.
        response: the response of the predictor, fitted on `links`.
    """

    predictor: Predictor
    links: Array
    folds: NDArray[np.int_]
    response: Response

    @classmethod
    def of(cls, training: Training, predictor: Predictor, links: Array, *, calibrate: bool) -> Self:
        """Fit the response to out-of-fold links `(n, K)` of the inner folds.

        Args:
            calibrate: estimate the slope; False where the predictor's links have theirs already.
        """
        folds = inner_folds(training.cohort, training.seed)
        response = Response.fit(
            training.target, links, training.outcome, calibrate=calibrate, folds=folds, in_the_large=True
        )
        return cls(predictor, links, folds, response)

    @property
    def calibrated(self) -> Array:
        """The out-of-fold links `(n, K)` as the response calibrates them; log hazards are centred in each fold first.

        They are on the scale of `response.calibrated(predictor.link(cohort))`, which new patients get.
        """
        links = within_models(self.response.kind, self.links, self.folds)
        return self.response.calibrated(links + self.response.centre if self.response.is_relative else links)


@dataclass(frozen=True)
class CrossFittedRecipe(BaseRecipe):
    """Base of recipes whose inner folds give out-of-fold links beside the model."""

    @abstractmethod
    def cross_fitted(self, training: Training) -> CrossFitted:
        """Fit the predictor on all training patients; hand it out with its response and the out-of-fold links."""

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit the predictor and its response."""
        found = self.cross_fitted(training)
        return found.predictor, found.response
