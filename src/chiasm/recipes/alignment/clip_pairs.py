"""`clip-pairs`: every pair of modalities aligned by CLIP's loss, then the target learned from the vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from chiasm.fitting.row import Row
from chiasm.fusion.aligned import AlignedModalities
from chiasm.objectives.contrastive import pairwise
from chiasm.protocols import Fused
from chiasm.recipes.alignment import ROWS
from chiasm.recipes.alignment.aligned import AlignedRecipe, VectorsDesign


@dataclass(frozen=True)
class ClipPairs(AlignedRecipe):
    """Symmetric InfoNCE summed over all pairs of modalities; a patient takes part in the pairs that he has.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    row: ClassVar[Row] = ROWS["clip-pairs"]

    def design(self) -> VectorsDesign:
        """Return the sizes of the network."""
        return VectorsDesign(self.latent_width, self.temperature)

    def loss(self, fusion: object, fused: Fused, present: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the sum of CLIP's losses over the pairs."""
        assert isinstance(fusion, AlignedModalities)  # of `design`
        return {"align": pairwise(fused.extras["vectors"], present, fusion.scale())}
