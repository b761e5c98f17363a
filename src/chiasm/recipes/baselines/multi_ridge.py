"""`multi-ridge`: one ridge of all modalities, each under a penalty of its own, or under none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import features_of
from chiasm.fitting.base import BaseRecipe, Training
from chiasm.fitting.block_choice import MOST_TRIED, choose_blocks
from chiasm.fitting.row import Row
from chiasm.fitting.shared import shared_features
from chiasm.fitting.unimodal import inner_folds
from chiasm.heads.response import Response
from chiasm.linear.linear import Linear
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS
from chiasm.recipes.baselines.early import columns

A_COLUMN = 5  # patients (events, for survival) that a column without a penalty needs
MOST_PATIENTS = 20_000  # with more columns than patients a matrix of all pairs of them is formed: 3.2 GB


@storable("multi-ridge")
@dataclass(frozen=True)
class MultiRidgePredictor:
    """One linear model of the scaled columns of all modalities; an absent modality adds nothing.

    Args:
        features: modality to its fitted scaling, in the order of `means`.
        means: modality to the mean `(F_m,)` of its scaled columns over the training patients who have it.
        linear: linear model on the concatenated centred columns.
        penalties: modality to its penalty, in units of information; 0 for one that goes without.
        slope, centre: calibration, from inner out-of-fold links.
    """

    features: dict[str, Any]
    means: dict[str, np.ndarray]
    linear: Linear
    penalties: dict[str, float]
    slope: float
    centre: float

    @property
    def trained_parameters(self) -> int:
        return int(self.linear.coef.size + self.linear.intercept.size)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        raw = self.linear.linear_predictor(columns(cohort, self.features, self.means))
        return np.asarray(self.centre + self.slope * (raw - self.centre))


@dataclass(frozen=True)
class MultiRidge(BaseRecipe):
    """Ridge with a penalty for each modality, which inner folds select together.

    Args:
        free: modalities without a penalty, joined by "+", as clinical variables whose effect is known to be there.
    """

    free: str = ""

    row: ClassVar[Row] = ROWS["multi-ridge"]

    @property
    def settings(self) -> int:
        """Largest number of combinations of penalties that are tried."""
        return MOST_TRIED

    @property
    def unpenalised(self) -> tuple[str, ...]:
        """Names of the modalities without a penalty."""
        return tuple(filter(None, self.free.split("+")))

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if a modality without a penalty is not there, or none is left to penalise."""
        super().supports(cohort)
        for name in self.unpenalised:
            if name not in cohort.modalities:
                known = ", ".join(cohort.modalities)
                raise Unsupported(f"free={self.free} names '{name}', and the cohort's modalities are {known}")
        if set(self.unpenalised) == set(cohort.modalities):
            raise Unsupported(f"free={self.free} leaves no modality to penalise: name fewer")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Select the penalties on inner folds and fit on all patients."""
        cohort, kind = training.cohort, training.target.kind
        features, means, values = {}, {}, {}
        for name in cohort.modalities:
            features[name] = features_of(cohort, name).fit(cohort.raw(name), [])
            means[name] = shared_features(cohort, name, features[name].features).mean(0)
            values[name] = np.asarray(columns(cohort, {name: features[name]}, {name: means[name]}))
        free = [name for name in cohort.modalities if name in self.unpenalised]
        penalised = [name for name in cohort.modalities if name not in free]
        self._require_room(training, values, free)
        folds = inner_folds(cohort, training.seed)
        beside = np.concatenate([np.zeros((len(cohort), 0)), *(values[name] for name in free)], axis=1)
        found = choose_blocks(
            kind, [values[name] for name in penalised], beside, training.outcome, folds, training.classes
        )
        ends = np.cumsum([values[name].shape[1] for name in free])
        parts = dict(zip(penalised, found.blocks, strict=True))
        parts |= dict(zip(free, np.split(found.free, ends)[:-1], strict=True))
        linear = Linear(kind, np.concatenate([parts[name] for name in cohort.modalities]), found.intercept)
        penalties = dict.fromkeys(free, 0.0) | dict(zip(penalised, found.penalties, strict=True))
        predictor = MultiRidgePredictor(features, means, linear, penalties, found.slope, found.centre)
        return predictor, Response.fit(
            training.target, found.links, training.outcome, calibrate=False, folds=folds, in_the_large=True
        )

    def _require_room(self, training: Training, values: dict[str, np.ndarray], free: list[str]) -> None:
        """Refuse columns without a penalty that the patients cannot tell, and more patients than memory holds."""
        patients = len(training.cohort)
        told = training.counts.get("events", patients)
        width = sum(values[name].shape[1] for name in free)
        if width * A_COLUMN > told:
            raise Unsupported(
                f"free={self.free} has {width:,} columns, and {told:,} patients or events allow {told // A_COLUMN:,} "
                "without a penalty: name a smaller modality"
            )
        if patients > MOST_PATIENTS and sum(own.shape[1] for own in values.values()) > patients:
            raise Unsupported(
                f"{patients:,} patients with more columns than that are too many for multi-ridge: "
                f"at most {MOST_PATIENTS:,}"
            )
