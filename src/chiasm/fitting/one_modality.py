"""One-modality forms of recipes that can read several modalities, for the single side of a verdict.

The encoders, the trunk, the head and the budget are the same; only the parts that need a second modality are left out.
So a network or a kernel is compared with itself, and its gain on one modality does not pass for a gain from combining.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, CohortError, Unsupported
from chiasm.fitting.base import BaseRecipe, Training, require, trainable
from chiasm.fitting.chosen import in_own_terms, prior_link
from chiasm.fitting.coefficients import Coefficients, coefficients_of, scaled
from chiasm.fitting.model import FittedModel
from chiasm.fitting.unimodal import FOLDS, Prior, inner_folds
from chiasm.fitting.wrapping import Wrapping
from chiasm.heads.response import Response
from chiasm.protocols import Embeds, Predictor


@storable("one-modality")
@dataclass(frozen=True)
class OneModality(Wrapping):
    """Predictor of one modality: `prior + slope (link - level)` where it is present, the prior where it is absent.

    Args:
        predictor: the model that reads the modality alone.
        modality: name of the modality.
        prior: prior link of the whole training set, `(K,)`, the same for every pattern.
        level: mean link of the training patients who have the modality, `(K,)`.
        slope: calibration slope of the link.
    """

    predictor: Predictor
    modality: str
    prior: np.ndarray
    level: np.ndarray
    slope: float = 1.0

    @property
    def embedding(self) -> Callable[[Cohort], np.ndarray] | None:
        """The wrapped predictor's `embedding` `(B, D)`, restricted to this modality; None if it has none."""
        own = self.predictor.embedding if isinstance(self.predictor, Embeds) else None
        return None if own is None else lambda cohort: np.asarray(own(cohort.with_modalities([self.modality])))

    def coefficients(self) -> Coefficients | None:
        """Return those of the model that reads the modality, times the slope."""
        return scaled(coefficients_of(self.predictor), self.slope)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64, in the cohort's sorted row order."""
        out = np.tile(self.prior, (len(cohort), 1))
        if self.modality in cohort.modalities:
            rows = cohort.rows_of(self.modality)
            if len(rows):
                said = self.predictor.link(cohort.with_modalities([self.modality]).subset(rows))
                out[rows] = self.prior + self.slope * (said - self.level)
        return out


def one_modality(
    whole: Training, training: Training, modality: str, predictor: Predictor, response: Response
) -> tuple[OneModality, Response]:
    """Extend a model of the patients who have a modality to all patients.

    The slope moves from the response into the link, because it acts about the level and not about the prior. The
    baseline hazard remains that of the patients who have the modality; a patient without it gets their mean log hazard.

    Args:
        whole: the training set, including patients without the modality.
        training: the patients who have the modality.
        predictor, response: the model fitted on `training`.
    """
    prior = prior_link(whole.target, whole.outcome, whole.classes)
    level = predictor.link(training.cohort).mean(0)
    centre, intercept = 0.0, response.intercept
    if response.is_relative:
        centre = response.slope * (response.centre - float(level[0]))
        if len(intercept):  # of several causes each link is taken from its own level
            intercept = intercept + response.slope * (level - level[0])
    made = OneModality(predictor, modality, prior, level, response.slope)
    return made, replace(response, slope=1.0, centre=centre, intercept=intercept)


def prior_model(whole: Training, name: str, cohort: Cohort) -> FittedModel:
    """Return the training-set prior as the model of a modality that too few training patients have."""
    prior = Prior(prior_link(whole.target, whole.outcome, whole.classes))
    response = Response.fit(whole.target, prior.link(whole.cohort), whole.outcome, calibrate=False)
    predictor, response = in_own_terms(prior, response, whole)
    scarce = tuple(own for own in cohort.modalities if own not in whole.cohort.modalities)
    target = {"kind": whole.target.kind}
    return FittedModel(
        name, {}, predictor, response, target, True, scarce, learned_from=whole.counts, prevalence=whole.prevalence
    )


@dataclass(frozen=True)
class OneOrAll(BaseRecipe):
    """Base of recipes that read every modality, or only the one that the option `modality` names.

    Args:
        modality: the one modality to read; empty: all.
    """

    modality: str = ""

    def __post_init__(self) -> None:
        """Refuse invalid options; here there are none. Every base calls the next, so that each checks its own."""

    @property
    def reads_presence(self) -> bool:
        """True if absent modalities may affect the prediction from those present; False with a single modality."""
        return not self.modality

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the names of this recipe on each modality alone; none if it reads one already."""
        read = self.modalities(cohort)
        return () if self.modality or len(read) < 2 else tuple(self.reading(name).name for name in read)

    def reading(self, modality: str) -> OneOrAll:
        """Return this recipe restricted to one modality."""
        return replace(self, modality=modality)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the named modality alone, or all if none is named."""
        return tuple(name for name in cohort.modalities if name == self.modality or not self.modality)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if the target, an encoder, the named modality or enough modalities are missing."""
        require(self.read(cohort), 1 if self.modality else self.least_modalities)

    def read(self, cohort: Cohort) -> Cohort:
        """Restrict the cohort to the named modality; without a name return it unchanged.

        Raises:
            Unsupported: the cohort has no such modality.
        """
        if self.modality and self.modality not in cohort.modalities:
            raise Unsupported(f"the cohort has no modality '{self.modality}': it has {', '.join(cohort.modalities)}")
        return cohort.with_modalities([self.modality]) if self.modality else cohort

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Fit as `BaseRecipe.fit`; if too few training patients have the named modality, return the prior model."""
        if not self.modality:
            return super().fit(cohort, seed=seed, checkpoint=checkpoint, device=device)
        self.read(cohort)
        whole = trainable(cohort, seed, checkpoint, device, self.least_patients)
        if self.modality not in whole.cohort.modalities:
            return prior_model(whole, self.name, cohort)
        return replace(super().fit(cohort, seed=seed, checkpoint=checkpoint, device=device), has_prior=True)

    def inner_folds(self, cohort: Cohort, seed: int) -> np.ndarray:
        """Return inner folds `(B,)`; for a single modality with too few patients per class, assign folds in turn."""
        try:
            return inner_folds(cohort, seed)
        except CohortError:
            if not self.modality:
                raise
            return np.arange(len(cohort)) % FOLDS

    def restricted(self, training: Training) -> Training:
        """Restrict the training set to the named modality and the patients who have it."""
        if not self.modality:
            return training
        rows = training.cohort.rows_of(self.modality)
        alone = training.cohort.with_modalities([self.modality]).subset(rows)
        return replace(training, cohort=alone, outcome=training.outcome.take(rows))

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Extend a one-modality model to all patients by the prior; other models are returned unchanged."""
        if not self.modality:
            return predictor, response
        return one_modality(whole, training, self.modality, predictor, response)
