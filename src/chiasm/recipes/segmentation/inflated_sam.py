"""`3dsam`: label maps drawn in volumes by a SAM of pictures whose slices see each other, and from clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import kind_of_source
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_prompts import OfPrompts


@dataclass(frozen=True)
class InflatedSamRecipe(OfPrompts):
    """Masks of the labels in windows of a volume by a SAM that is frozen in each slice and adapted over the volume.

    Args:
        slices: neighbouring slices that attend to each other; 1: none.
    """

    slices: int = 4
    window: int = 32
    objects: int = 2
    batch: int = 2

    row: ClassVar[Row] = ROWS["3dsam"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("slices", self.slices, 64)

    @property
    def neighbours(self) -> int:
        """Slices of a volume that attend to each other."""
        return self.slices

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless the images are volumes."""
        super().supports(cohort)
        for name in self.modalities(cohort):
            if kind_of_source(cohort, name) == "image":
                raise Unsupported(f"3dsam draws in volumes, and modality '{name}' is pictures: fit sam-med2d")
