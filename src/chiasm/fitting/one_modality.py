"""One modality read alone by a recipe that can read several: the form of it that stands on the single side.

The encoders, the trunk, the head and the budget are the same; only what needs a second modality falls away. So a
network or a kernel is compared with itself, and what it can do with one modality is no gain of combining.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import BaseRecipe, Training, require, trainable
from chiasm.fitting.model import FittedModel
from chiasm.fitting.unimodal import Prior, prior_link
from chiasm.heads.response import Response
from chiasm.protocols import Predictor


@storable("one-modality")
@dataclass(frozen=True)
class OneModality:
    """`prior + slope (link - level)` of who has the modality, the prior of who lacks it.

    Args:
        predictor: reads the modality alone.
        modality: its name.
        prior: `(K,)` link of the whole training set, the same for every pattern.
        level: `(K,)` mean link of the training patients who have the modality.
        slope: calibration of the link.
    """

    predictor: Predictor
    modality: str
    prior: np.ndarray
    level: np.ndarray
    slope: float = 1.0

    @property
    def trained_parameters(self) -> int:
        return self.predictor.trained_parameters

    @property
    def reads_inputs(self) -> bool:
        """As the predictor does."""
        return bool(getattr(self.predictor, "reads_inputs", False))

    @property
    def embedding(self) -> Callable[[Cohort], np.ndarray] | None:
        """What the predictor's head reads of who has the modality, `(B, D)`; None where it has no such thing."""
        own = getattr(self.predictor, "embedding", None)
        return None if own is None else lambda cohort: np.asarray(own(cohort.with_modalities([self.modality])))

    def link(self, cohort: Cohort) -> np.ndarray:
        """`(B, K)` float64 in the cohort's sorted row order."""
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
    """What was learned of those who have a modality, as a prediction for everybody.

    The slope moves from the response into the link, since it turns about the level and not about the prior. A baseline
    hazard stays that of the patients who have the modality: a patient who lacks it has their mean log hazard.

    Args:
        whole: the training set, those who lack the modality too.
        training: the part of it that was learned from.
        predictor, response: what was learned of that part.
    """
    prior = prior_link(whole.target.kind, whole.outcome, whole.classes)
    level = predictor.link(training.cohort).mean(0)
    centre = 0.0
    if response.kind == "survival":
        centre = response.slope * (response.centre - float(level[0]))
    made = OneModality(predictor, modality, prior, level, response.slope)
    return made, replace(response, slope=1.0, centre=centre)


def prior_model(whole: Training, name: str, cohort: Cohort) -> FittedModel:
    """The model of a modality that too few training patients have: what is known of anybody."""
    prior = Prior(prior_link(whole.target.kind, whole.outcome, whole.classes))
    response = Response.fit(whole.target, prior.link(whole.cohort), whole.outcome, calibrate=False)
    scarce = tuple(own for own in cohort.modalities if own not in whole.cohort.modalities)
    return FittedModel(name, {}, prior, response, {"kind": whole.target.kind}, True, scarce)


@dataclass(frozen=True)
class OneOrAll(BaseRecipe):
    """A recipe that reads every modality, or the one that its option names.

    Args:
        modality: to read alone; all of them without a name.
    """

    modality: str = ""

    @property
    def reads_presence(self) -> bool:
        """Whether what is absent shows in the prediction of who has something else; of one modality it never does."""
        return not self.modality

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """The names of this recipe on each modality by itself; none where it reads one already."""
        read = self.modalities(cohort)
        return () if self.modality or len(read) < 2 else tuple(self.reading(name).name for name in read)

    def reading(self, modality: str) -> OneOrAll:
        """This recipe on one modality alone."""
        return replace(self, modality=modality)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """The one that was named, or all."""
        return tuple(name for name in cohort.modalities if name == self.modality or not self.modality)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` where a target, an encoder or the modality that was named is missing."""
        require(self.read(cohort), 1 if self.modality else self.least_modalities)

    def read(self, cohort: Cohort) -> Cohort:
        """The cohort with the modality that was named alone, or as it is.

        Raises:
            Unsupported: it has no such modality.
        """
        if self.modality and self.modality not in cohort.modalities:
            raise Unsupported(f"the cohort has no modality '{self.modality}': it has {', '.join(cohort.modalities)}")
        return cohort.with_modalities([self.modality]) if self.modality else cohort

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """As any; of a modality that too few training patients have, what is known of anybody."""
        if not self.modality:
            return super().fit(cohort, seed=seed, checkpoint=checkpoint, device=device)
        self.read(cohort)
        whole = trainable(cohort, seed, checkpoint, device)
        if self.modality not in whole.cohort.modalities:
            return prior_model(whole, self.name, cohort)
        return replace(super().fit(cohort, seed=seed, checkpoint=checkpoint, device=device), has_prior=True)

    def restricted(self, training: Training) -> Training:
        """Those who have the modality that was named, with it alone."""
        if not self.modality:
            return training
        rows = training.cohort.rows_of(self.modality)
        alone = training.cohort.with_modalities([self.modality]).subset(rows)
        return replace(training, cohort=alone, outcome=training.outcome.take(rows))

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Of one modality, a prediction for everybody."""
        if not self.modality:
            return predictor, response
        return one_modality(whole, training, self.modality, predictor, response)
