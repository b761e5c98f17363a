"""`early-fusion`: one ridge on the features of all modalities side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders import fit_encoders
from chiasm.heads.linear import Linear, deviance, fit_path
from chiasm.heads.response import Response, calibration
from chiasm.protocols import Citation, Encoder
from chiasm.recipes.base import recipe_name, require_encoders
from chiasm.recipes.model import FittedModel, describe_target
from chiasm.recipes.neural import trainable
from chiasm.recipes.single import RIDGE
from chiasm.recipes.unimodal import PENALTIES, features_of, inner_folds
from chiasm.training.memo import remember


@storable("concatenation")
@dataclass(frozen=True)
class Concatenation:
    """The features of every modality side by side; those of an absent one are its training mean.

    It is the one baseline that imputes, since a linear map of a concatenation cannot do without; the means come from
    training rows.

    Args:
        encoders: one a modality.
        means: each modality's mean features, `(F_m,)`.
    """

    encoders: dict[str, Encoder]
    means: dict[str, np.ndarray]

    @classmethod
    def fit(cls, cohort: Cohort) -> Concatenation:
        """From training rows."""
        encoders = fit_encoders(cohort)
        means = {name: features_of(encoder, cohort.raw(name)).mean(0) for name, encoder in encoders.items()}
        return cls(encoders, means)

    def __call__(self, cohort: Cohort) -> np.ndarray:
        """`(B, sum of F_m)`, modalities sorted by name."""
        blocks = []
        for name in sorted(self.encoders):
            block = np.tile(self.means[name], (len(cohort), 1))
            if name in cohort.modalities and len(cohort.rows_of(name)):
                block[cohort.rows_of(name)] = features_of(self.encoders[name], cohort.raw(name))
            blocks.append(block)
        return np.concatenate(blocks, axis=1)


@storable("early-fusion")
@dataclass(frozen=True)
class EarlyFusionPredictor:
    """A linear predictor on a concatenation, calibrated on inner folds."""

    features: Concatenation
    linear: Linear
    slope: float
    centre: float

    @property
    def trained_parameters(self) -> int:
        return int(self.linear.coef.size + self.linear.intercept.size)

    def link(self, cohort: Cohort) -> np.ndarray:
        """`(B, K)` float64."""
        return self.centre + self.slope * (self.linear.linear_predictor(self.features(cohort)) - self.centre)


def fit_early(cohort: Cohort, *, seed: int) -> tuple[EarlyFusionPredictor, np.ndarray]:
    """The fitted predictor and its calibrated links on inner folds, `(B, K)`."""
    return remember(cohort.fingerprint, ("early", seed), lambda: _fit(cohort, seed))


def _fit(cohort: Cohort, seed: int) -> tuple[EarlyFusionPredictor, np.ndarray]:
    outcome, target = cohort.outcome, cohort.target
    assert outcome is not None and target is not None  # recipes fit `trainable` cohorts only
    classes = len(target.classes) if target.kind == "classification" else None
    folds = inner_folds(cohort, seed)
    paths = None
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        features = Concatenation.fit(cohort.subset(train))
        x = features(cohort)
        path = fit_path(target.kind, x[train], outcome.take(train), [p * x.shape[1] for p in PENALTIES], classes=classes)
        links = np.stack([linear.linear_predictor(x[test]) for linear in path])
        if paths is None:
            paths = np.zeros((len(PENALTIES), len(cohort), links.shape[2]))
        paths[:, test] = links
    assert paths is not None
    best = int(np.argmin([deviance(target.kind, links, outcome) for links in paths]))
    slope, centre = calibration(target.kind, paths[best], outcome)
    features = Concatenation.fit(cohort)
    x = features(cohort)
    (linear,) = fit_path(target.kind, x, outcome, [PENALTIES[best] * x.shape[1]], classes=classes)
    return EarlyFusionPredictor(features, linear, slope, centre), centre + slope * (paths[best] - centre)


@dataclass(frozen=True)
class EarlyFusion:
    """Ridge regression, logistic or Cox, on the concatenation of all modalities' features."""

    id: ClassVar[str] = "early-fusion"
    family: ClassVar[str] = "baseline"
    needs: ClassVar[str] = "two modalities or more; an absent one is imputed by its training mean"
    paper: ClassVar[Citation] = RIDGE

    @property
    def name(self) -> str:
        return recipe_name(self)

    def supports(self, cohort: Cohort) -> None:
        require_encoders(cohort, modalities=2)

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Choose the penalty on inner folds, then fit on all patients."""
        cohort = trainable(cohort)
        assert cohort.outcome is not None and cohort.target is not None
        predictor, out_of_fold = fit_early(cohort, seed=seed)
        response = Response.fit(cohort.target, out_of_fold, cohort.outcome, calibrate=False)
        return FittedModel(self.name, dict(cohort.kinds), predictor, response, describe_target(cohort))
