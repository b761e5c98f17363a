"""`symile`: all modalities aligned at once by their multilinear inner product (NeurIPS 2024, arXiv 2411.01053)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.fitting.base import require_pairs
from chiasm.fitting.neural import Shapes, check_size
from chiasm.fitting.row import Row
from chiasm.fusion.aligned import AlignedModalities
from chiasm.objectives.symile import symile
from chiasm.protocols import Fused
from chiasm.recipes.alignment import ROWS
from chiasm.recipes.alignment.aligned import AlignedRecipe


@storable("symile")
@dataclass(frozen=True)
class SymileDesign:
    """Width of the vectors, the temperature at the start, and whether stand-ins of absent modalities are learned."""

    latent_width: int
    temperature: float
    stand_ins: bool

    def __post_init__(self) -> None:
        check_size("latent_width", self.latent_width)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> AlignedModalities:
        """Create a fresh fusion module of this size."""
        return AlignedModalities(
            shapes, self.latent_width, dropout, temperature=self.temperature, product=True, stand_ins=self.stand_ins
        )


@dataclass(frozen=True)
class Symile(AlignedRecipe):
    """Symile's loss on tuples of all modalities, in which a learned vector stands where a patient lacks one.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        complete: align patients who have every modality alone; else those with two or more, with stand-ins.
    """

    complete: bool = False

    row: ClassVar[Row] = ROWS["symile"]

    def design(self) -> SymileDesign:
        """Return the sizes of the network."""
        return SymileDesign(self.latent_width, self.temperature, not self.complete)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if `complete`, and hardly anybody has every modality."""
        super().supports(cohort)
        if self.complete and not self.modality:
            require_pairs(cohort, of=np.asarray(cohort.present.all(1)), what="every modality, as complete=True asks")

    def least(self, modalities: int) -> int:
        """Return how many of the modalities a patient has to have to take part in the alignment."""
        return modalities if self.complete and modalities > 1 else 2

    def loss(self, fusion: object, fused: Fused, present: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return Symile's loss of the patients who take part."""
        assert isinstance(fusion, AlignedModalities)  # of `design`
        vectors = fusion.filled(fused.extras["vectors"], present)
        here = present.sum(1) >= self.least(present.shape[1])
        return {"align": symile(vectors, fusion.scale(), generator, here=here, stood=~present)}
