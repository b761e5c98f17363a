"""`early-fusion`: one ridge on the principal components of all modalities side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders.scaling import Projection
from chiasm.heads.linear import Linear
from chiasm.heads.response import Response
from chiasm.protocols import Citation, Predictor
from chiasm.recipes.base import BaseRecipe, Training
from chiasm.recipes.single import RIDGE
from chiasm.recipes.unimodal import COMPONENTS, Unimodal, choose_penalty, fit_unimodal, inner_folds


@storable("early-fusion")
@dataclass(frozen=True)
class EarlyFusionPredictor:
    """One ridge on the components of all modalities; an absent one is imputed by its training mean.

    It is the one baseline that imputes, since a linear map of a concatenation cannot do without. Components are centred
    on training rows, so the mean is zero.

    Args:
        models: each modality's scaling, projection and own penalty.
        shares: modality to the weight of its components, `sqrt(smallest penalty / own penalty)`.
        projection: of the weighted components side by side.
        linear: on its components.
        slope, centre: calibration, from inner out-of-fold links.
    """

    models: dict[str, Unimodal]
    shares: dict[str, float]
    projection: Projection
    linear: Linear
    slope: float
    centre: float

    @property
    def trained_parameters(self) -> int:
        return int(self.linear.coef.size + self.linear.intercept.size)

    def link(self, cohort: Cohort) -> np.ndarray:
        """`(B, K)` float64."""
        raw = self.linear.linear_predictor(self.projection(side_by_side(cohort, self.models, self.shares)))
        return np.asarray(self.centre + self.slope * (raw - self.centre))


def side_by_side(cohort: Cohort, models: Mapping[str, Unimodal], shares: Mapping[str, float]) -> np.ndarray:
    """`(B, sum of F_m)` weighted components, modalities sorted by name, zeros for an absent one."""
    blocks = []
    for name in sorted(models):
        block = np.zeros((len(cohort), models[name].projection.components.shape[1]))
        if name in cohort.modalities and len(cohort.rows_of(name)):
            block[cohort.rows_of(name)] = models[name].components(cohort) * shares[name]
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


@dataclass(frozen=True)
class EarlyFusion(BaseRecipe):
    """Ridge regression, logistic or Cox, on the concatenation of all modalities' principal components.

    Each modality keeps the penalty it chose alone, up to one common factor that inner folds choose. A ridge and not an
    elastic net: components are a rotation, in which dropping single coordinates has no meaning.
    """

    id: ClassVar[str] = "early-fusion"
    family: ClassVar[str] = "baseline"
    needs: ClassVar[str] = "two modalities or more; an absent one is imputed by its training mean"
    paper: ClassVar[Citation] = RIDGE

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Choose each modality's penalty and then the common one on inner folds; fit on all patients."""
        cohort = training.cohort
        models = {name: fit_unimodal(training, name)[0] for name in cohort.modalities}
        least = min(model.penalty for model in models.values())
        shares = {name: math.sqrt(least / model.penalty) for name, model in models.items()}
        values = side_by_side(cohort, models, shares)
        projection = Projection.fit(values, COMPONENTS)
        folds = inner_folds(cohort, training.seed)
        chosen = choose_penalty(training.target.kind, projection(values), training.outcome, folds, training.classes)
        predictor = EarlyFusionPredictor(models, shares, projection, chosen.linear, chosen.slope, chosen.centre)
        return predictor, Response.fit(training.target, chosen.links, training.outcome, calibrate=False, folds=folds)
