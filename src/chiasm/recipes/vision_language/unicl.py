"""`unicl`: images, texts and labels in one space; who has the same labels, or text, is positive (CVPR 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.recipes.vision_language import ROWS
from chiasm.recipes.vision_language.worded import WordedRecipe


@dataclass(frozen=True)
class UniCl(WordedRecipe):
    """Contrast of images with texts that patients have, and with the names of their labels, of many positives.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        depth, heads, words, encoder: as in `WordedRecipe`.
    """

    row: ClassVar[Row] = ROWS["unicl"]
