"""What is said of a patient in whom a connected language model reads nothing: what is known without him."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.fitting.base import Training
from chiasm.fitting.chosen import in_own_terms, prior_link
from chiasm.fitting.unimodal import Prior
from chiasm.fitting.wrapping import Wrapping
from chiasm.heads.response import Response
from chiasm.language.predictor import ConnectedPredictor
from chiasm.protocols import Predictor
from chiasm.targets.texts import typical


@storable("connected-or-prior")
@dataclass(frozen=True)
class ConnectedOrPrior(Wrapping):
    """A connected language model, and the prior of the training set for who has none of the modalities that it reads.

    A prompt without anything of the patient would be answered by a constant that nobody has calibrated.

    Args:
        predictor: of who has something to read.
        modalities: that it reads.
        prior: link of who has none of them; of texts it is not asked.
        text: what is said of who has none of them, where an answer is a text: the most typical one of training.
    """

    predictor: ConnectedPredictor
    modalities: tuple[str, ...]
    prior: Predictor
    text: str = ""

    @property
    def longest(self) -> int:
        """Most tokens of an answer that is a text; 0 where answers are given."""
        return self.predictor.longest

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return "the most typical text of training patients" if self.text else ""

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the logits of the answers `(B, K)`, in the cohort's sorted row order; raises as the predictor."""
        rows = self._read(cohort)
        if rows.all():
            return self.predictor.link(cohort)
        found = self.prior.link(cohort)
        if rows.any():
            own = self.predictor.link(cohort.subset(rows))
            found[rows] = -np.inf
            found[rows, : own.shape[1]] = own
        return found

    def written(self, cohort: Cohort) -> list[str]:
        """Return what is said of each patient, in the cohort's sorted row order."""
        rows = self._read(cohort)
        own = iter(self.predictor.written(cohort.subset(rows)) if rows.any() else ())
        return [next(own) if read else self.text for read in rows.tolist()]

    def _read(self, cohort: Cohort) -> np.ndarray:
        """Which patients have something that is read, `(B,)` bool."""
        names = [name for name in cohort.modalities if name in self.modalities]
        return np.asarray(cohort.with_modalities(names).present.any(1)) if names else np.zeros(len(cohort), bool)


def or_prior(
    whole: Training, predictor: ConnectedPredictor, response: Response, modalities: tuple[str, ...]
) -> ConnectedOrPrior:
    """Extend a model to patients in whom it reads nothing, of whom the prior of all training patients is said.

    Args:
        whole: the training set.
        response: of the model, whose slope acts on the prior, too, and is taken out of it.
    """
    target, texts = whole.target, whole.outcome.texts
    if target.has_texts and texts is not None:
        return ConnectedOrPrior(predictor, modalities, Prior(np.zeros(0)), typical(texts))
    prior: Predictor = Prior(prior_link(target, whole.outcome, whole.classes))
    if target.has_options:
        own = Response.fit(target, prior.link(whole.cohort), whole.outcome, calibrate=False)
        prior, _ = in_own_terms(prior, own, whole)
    else:
        prior = replace(prior, value=prior.value / max(response.slope, 1e-6))  # type: ignore[type-var, attr-defined]
    return ConnectedOrPrior(predictor, modalities, prior, "")
