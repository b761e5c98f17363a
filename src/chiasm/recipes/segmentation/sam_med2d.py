"""`sam-med2d`: label maps drawn in pictures by SAM with an adapter a block, from clicks where somebody clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import kind_of_source
from chiasm.fitting.row import Row
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_prompts import OfPrompts


@dataclass(frozen=True)
class SamMed2d(OfPrompts):
    """Masks of the labels by a SAM whose frozen encoder is adapted; its prompt encoder and decoder are tuned.

    A whole picture is a window, unless it is larger than `window`.
    """

    window: int = 1024

    row: ClassVar[Row] = ROWS["sam-med2d"]

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless the images are pictures."""
        super().supports(cohort)
        for name in self.modalities(cohort):
            if kind_of_source(cohort, name) == "volume":
                raise Unsupported(f"sam-med2d draws in pictures, and modality '{name}' is volumes: fit 3dsam")
