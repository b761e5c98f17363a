"""`fine-gray`: one ridge of the incidence of each cause of competing risks, on the modalities concatenated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from chiasm.cohort import Cohort, Target, Unsupported
from chiasm.encoders.table.scaling import Projection
from chiasm.fitting.base import Training
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.inner_choice import PENALTIES, choose_penalty
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import COMPONENTS, fit_unimodal
from chiasm.heads.response import Response
from chiasm.linear.fine_gray import FINE_GRAY, subdistribution_hazards
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.early import EarlyFusionPredictor, side_by_side


@dataclass(frozen=True)
class FineGrayRecipe(OneOrAll, CrossFittedRecipe):
    """Ridge of the subdistribution hazard of each cause, on the components of all modalities or of one.

    Each modality keeps the penalty that inner folds select for it alone by the causes' own hazards, up to one factor
    that all have in common, which inner folds select by the likelihood of the subdistributions. A modality that is
    absent is imputed by its training mean, as in `early-fusion`.
    """

    row: ClassVar[Row] = ROWS["fine-gray"]

    @property
    def reads_presence(self) -> bool:
        """False: columns of an absent modality are imputed by the mean on which they are centred."""
        return False

    @property
    def settings(self) -> int:
        """Number of penalties."""
        return len(PENALTIES)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` for other targets than competing risks, and if a modality or an encoder is missing."""
        super().supports(cohort)
        self.supports_target(cohort.target)

    def supports_target(self, target: Target | None) -> None:
        """Raise `Unsupported` for other targets than competing risks."""
        super().supports_target(target)
        if target is None or not target.has_causes:
            raise Unsupported(
                "a subdistribution is of one of several causes: take a target of competing risks, or early-fusion"
            )

    def cross_fitted(self, training: Training) -> CrossFitted:
        """Select the penalty on inner folds and fit on all patients, the hazards by the out-of-fold links."""
        cohort, outcome, kind = training.cohort, training.outcome, training.target.kind
        folds = self.inner_folds(cohort, training.seed)
        models = {name: fit_unimodal(training, name, "linear")[0] for name in cohort.modalities}
        least = min(model.penalty for model in models.values())
        shares = {name: math.sqrt(least / model.penalty) for name, model in models.items()}
        values = side_by_side(cohort, models, shares)
        projection = Projection.fit(values, COMPONENTS)
        chosen = choose_penalty(kind, projection(values), outcome, folds, training.classes, loss=FINE_GRAY)
        predictor = EarlyFusionPredictor(models, shares, projection, chosen.model, chosen.slope, chosen.centre)
        response = Response.fit(training.target, chosen.links, outcome, calibrate=False, folds=folds)
        found = CrossFitted(predictor, chosen.links, folds, response)
        times, hazard = subdistribution_hazards(found.calibrated, outcome)
        own = replace(response, event_times=times, hazard=hazard, subdistribution=True)
        return replace(found, response=own)
