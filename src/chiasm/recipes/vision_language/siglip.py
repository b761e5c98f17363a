"""`siglip`: as `unicl`, each pair judged by itself instead of among the others (ICCV 2023, arXiv 2303.15343)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.recipes.vision_language import ROWS
from chiasm.recipes.vision_language.worded import WordedRecipe


@dataclass(frozen=True)
class SigLip(WordedRecipe):
    """Sigmoid of each pair, `scale <image, text> + bias`, both learned; the bias starts at -10.

    Args:
        modality, latent_width, share, tune: as in `AlignedRecipe`.
        temperature: the first one, a tenth as in the paper.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        depth, heads, words, encoder: as in `WordedRecipe`.
    """

    temperature: float = 0.1

    row: ClassVar[Row] = ROWS["siglip"]
    sigmoid: ClassVar[bool] = True
