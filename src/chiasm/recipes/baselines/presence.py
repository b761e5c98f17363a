"""`presence`: baseline that reads only which modalities a patient has, which every fusion must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.fitting.base import BaseRecipe, Training, require
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.inner_choice import PENALTIES, choose_penalty
from chiasm.fitting.row import Row
from chiasm.fitting.unimodal import Prior, inner_folds
from chiasm.heads.response import Response
from chiasm.linear.linear import Linear, stretched
from chiasm.protocols import Predictor
from chiasm.recipes.baselines import ROWS

LEAST = 10  # training patients that a pattern needs for a column of its own
MOST_PATTERNS = 64


@storable("presence")
@dataclass(frozen=True)
class PresencePredictor:
    """A ridge on indicators of the modalities that a patient has.

    Args:
        modalities: modalities that some training patients have and others lack, in column order.
        patterns: patterns of these modalities that have a column of their own, `(P, M)`.
        linear: linear model on a 0/1 column for each modality and each pattern.
        slope, centre: calibration, from inner out-of-fold links.
    """

    modalities: tuple[str, ...]
    patterns: np.ndarray
    linear: Linear
    slope: float
    centre: float

    @property
    def trained_parameters(self) -> int:
        return int(self.linear.coef.size + self.linear.intercept.size)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64."""
        raw = self.linear.linear_predictor(indicators(cohort, self.modalities, self.patterns))
        return stretched(raw, self.slope, self.centre)


def has(cohort: Cohort, modalities: tuple[str, ...]) -> np.ndarray:
    """Return the presence `(B, M)`, bool, of these modalities; False for one that the cohort lacks."""
    nobody = np.zeros(len(cohort), bool)
    columns = [
        cohort.present[:, cohort.modalities.index(name)] if name in cohort.modalities else nobody for name in modalities
    ]
    return np.stack(columns, axis=1)


def indicators(cohort: Cohort, modalities: tuple[str, ...], patterns: np.ndarray) -> np.ndarray:
    """Return 0/1 indicators `(B, M + P)` of each patient's modalities and of the pattern that they form."""
    own = has(cohort, modalities)
    same = (own[:, None, :] == patterns[None].astype(bool)).all(axis=2) if len(patterns) else np.zeros((len(own), 0))
    return np.concatenate([own, same], axis=1).astype(np.float64)


@dataclass(frozen=True)
class Presence(BaseRecipe):
    """A ridge (linear, logistic or Cox) on which modalities a patient has and on their pattern.

    No value of any modality is read. If all training patients have the same modalities, the model is the prior.
    """

    row: ClassVar[Row] = ROWS["presence"]
    least_modalities: ClassVar[int] = 1
    has_prior: ClassVar[bool] = True

    @property
    def reads_presence(self) -> bool:
        """Always True: presence is all that this recipe reads."""
        return True

    @property
    def settings(self) -> int:
        """Number of penalties tried."""
        return len(PENALTIES)

    def reads(self, cohort: Cohort) -> tuple[str, ...]:
        """Return no names: no modality's content is read."""
        return ()

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if the target or an encoder is missing."""
        require(cohort, 1)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Select the penalty on inner folds; return the prior if all patients have the same modalities."""
        cohort, outcome, kind = training.cohort, training.outcome, training.target.kind
        varying = tuple(
            name for m, name in enumerate(cohort.modalities) if 0 < cohort.present[:, m].sum() < len(cohort)
        )
        if not varying:
            prior = Prior(prior_link(training.target, outcome, training.classes))
            return prior, Response.fit(training.target, prior.link(cohort), outcome, calibrate=False)
        seen, counts = np.unique(has(cohort, varying), axis=0, return_counts=True)
        common = np.argsort(-counts, kind="stable")[:MOST_PATTERNS]
        patterns = seen[common][counts[common] >= LEAST].astype(np.int64) if len(varying) > 1 else np.zeros((0, 1), int)
        x, folds = indicators(cohort, varying, patterns), inner_folds(cohort, training.seed)
        chosen = choose_penalty(kind, x, outcome, folds, training.classes)
        predictor = PresencePredictor(varying, patterns, chosen.model, chosen.slope, chosen.centre)
        return predictor, Response.fit(training.target, chosen.links, outcome, calibrate=False, folds=folds)
