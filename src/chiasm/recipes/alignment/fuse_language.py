"""`fuse-language`: whatever part of the modalities a patient has is aligned with language (FuSe, arXiv 2501.04693)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import require_pairs
from chiasm.fitting.language import language_of
from chiasm.fitting.neural import Prepared
from chiasm.fitting.row import Row
from chiasm.objectives.contrastive import contrast
from chiasm.protocols import Fused
from chiasm.recipes.alignment import ROWS
from chiasm.recipes.alignment.aligned import AlignedRecipe, VectorsDesign
from chiasm.training.unlabelled import UnlabelledLoss


@dataclass(frozen=True)
class FuseLanguage(AlignedRecipe):
    """CLIP's loss between the anchor and what the other modalities of a patient say together, all of them and a part.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        anchor: the modality of language; empty: the only one that is text, or encoded from it.
    """

    anchor: str = ""

    row: ClassVar[Row] = ROWS["fuse-language"]

    def anchor_of(self, cohort: Cohort) -> str:
        """Return the modality of language; raises as `language_of`."""
        return language_of(cohort, self.anchor, "anchor", "clip-pairs, which needs none")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if no modality is the anchor, or hardly anybody has another beside it."""
        super().supports(cohort)
        if not self.modality:
            m = cohort.modalities.index(self.anchor_of(cohort))
            both = cohort.present[:, m] & (cohort.present.sum(1) > 1)
            require_pairs(cohort, of=both, what=f"'{cohort.modalities[m]}' and another modality")

    def place(self, cohort: Cohort) -> int:
        """Return the place of the anchor among the modalities of a training set; -1 if it has too few patients."""
        try:
            return cohort.modalities.index(self.anchor_of(cohort))
        except Unsupported:
            return -1

    def paired(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the patients `(B,)` who are trained on, and have the anchor and another modality."""
        m = self.place(data.cohort)
        has = data.present[:, m] if m >= 0 else np.zeros(len(data.present), bool)
        return np.asarray(super().paired(data) & has)

    def design(self) -> VectorsDesign:
        """Return the sizes of the network."""
        return VectorsDesign(self.latent_width, self.temperature)

    def loss_of(self, data: Prepared) -> UnlabelledLoss:
        """Return the loss against the anchor of this training set."""
        anchor = self.place(data.cohort)

        def loss(fusion: Any, fused: Fused, present: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
            vectors, scale = fused.extras["vectors"], fusion.scale()
            return {"align": anchored(vectors, present, anchor, scale, generator)}

        return loss


def anchored(vectors: Tensor, present: Tensor, anchor: int, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Mean of CLIP's losses between the anchor and the readouts of all other modalities, and of a part that is drawn.

    A readout is the sum of the vectors at unit length. Of the part each modality is one with probability one half; who
    has none of it is read with all.

    Args:
        vectors: `(B, M, D)` of unit length, zeros where absent.
        present: `(B, M)` bool; who has the anchor and another modality takes part.
        anchor: its place.
        scale: scalar above zero.
        generator: draws the parts, on the CPU.
    """
    others = present.clone()
    others[:, anchor] = False
    drawn = others & (torch.rand(present.shape, generator=generator) < 0.5).to(present.device)
    drawn = torch.where(drawn.any(1, keepdim=True), drawn, others)
    here = present[:, anchor] & others.any(1)
    readouts = [functional.normalize((vectors * own[..., None]).sum(1), dim=1) for own in (others, drawn)]
    return torch.stack([contrast(own, vectors[:, anchor], scale, here=here) for own in readouts]).mean()
