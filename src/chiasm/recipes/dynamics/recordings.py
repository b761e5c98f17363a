"""What recipes of recordings share: they read one bag of counts, and the response is the counts that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.cohort import Cohort, Unsupported
from chiasm.dynamics.states.following import bins_ahead, modality_of, recorded
from chiasm.fitting.one_modality import OneOrAll


@dataclass(frozen=True)
class OfRecordings(OneOrAll):
    """Base of recipes that read one modality of recordings.

    Args:
        modality: the one of the recordings; empty: the only one that the cohort has.
    """

    least_modalities: ClassVar[int] = 1

    @property
    def reads_presence(self) -> bool:
        """False: one modality is read, and who lacks it gets the mean response."""
        return False

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless one bag of counts is read, and the response is counts of the same neurons."""
        super().supports(cohort)
        name = modality_of(cohort, self.modality)
        target = cohort.target
        if target is None or not target.has_channels or target.is_drawn or cohort.outcome is None:
            raise Unsupported(
                'what follows a recording is a response, the counts of the next bins: write kind = "response" in '
                "[target]"
            )
        own = recorded(cohort, name)
        bins_ahead(cohort.outcome.value[cohort.outcome.known], own.neurons)
        self.learnable(own.bins)

    def learnable(self, bins: np.ndarray) -> None:
        """Raise `Unsupported` if recordings of so many bins, `(B,)`, are too short; none is unless a recipe says so."""
