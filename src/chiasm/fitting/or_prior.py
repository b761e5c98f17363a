"""Predictor for all patients: the model's link if a patient has a modality that it reads, else the prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.fitting.space import Space, space_of
from chiasm.fitting.wrapping import Wrapping
from chiasm.protocols import Predictor


@storable("or-prior")
@dataclass(frozen=True)
class OrPrior(Wrapping):
    """A predictor that falls back to the prior link for patients with none of its modalities.

    Args:
        predictor: the model for patients with at least one of its modalities.
        prior: prior link, `(K,)`.
        modalities: the modalities that the predictor reads.
    """

    predictor: Predictor
    prior: np.ndarray
    modalities: tuple[str, ...]

    @property
    def space(self) -> Space | None:
        """The space that the model's modalities were aligned in; None if they were not."""
        return space_of(self.predictor)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64, in the cohort's sorted row order."""
        out = np.tile(self.prior, (len(cohort), 1))
        known = cohort.with_modalities([name for name in cohort.modalities if name in self.modalities])
        rows = np.flatnonzero(known.present.any(1))
        if len(rows):
            out[rows] = self.predictor.link(known.subset(rows))
        return out
