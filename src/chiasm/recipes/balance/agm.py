"""`agm`: adaptive gradient modulation (ICCV 2023, arXiv 2308.07686), by the Shapley values of the modalities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.neural import Prepared
from chiasm.fitting.row import Row
from chiasm.recipes.balance import ROWS
from chiasm.recipes.balance.concatenated import ConcatenatedRecipe
from chiasm.training import Phase
from chiasm.training.adaptive_modulation import AdaptiveModulation
from chiasm.training.shapley import MOST_MODALITIES


@dataclass(frozen=True)
class AGMRecipe(ConcatenatedRecipe):
    """One network whose gradients through each modality's part of the link are scaled: who gains learns more slowly.

    Args:
        modality: the one modality to read, which has no other to be ahead of; empty: all.
        latent_width, dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in
            `ConcatenatedRecipe`.
        alpha: strength of the modulation; 0: none.
    """

    alpha: float = 2.5

    row: ClassVar[Row] = ROWS["agm"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.alpha < math.inf:
            raise ValueError(f"alpha is {self.alpha}, and must be 0 or more, and finite")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if there are so many modalities that their coalitions cannot be gone through."""
        super().supports(cohort)
        read = len(self.modalities(cohort))
        if read > MOST_MODALITIES:
            raise Unsupported(
                f"agm runs all 2^{read} coalitions of {read} modalities at every step, and takes {MOST_MODALITIES} at "
                "most: leave modalities out, or name iemf or staged, which take any number"
            )

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return one phase, on the modulated objective."""
        return (Phase(self.training_options, AdaptiveModulation(self.alpha, len(data.tokens))),)
