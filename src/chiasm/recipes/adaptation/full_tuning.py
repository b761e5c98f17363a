"""Full fine-tuning: every weight of an encoder that its tokens depend on. A reference for recipes that train less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class FullTuning(AdaptedRecipe):
    """All of the network is trained, with its dropout and, where it has them, its running statistics."""

    learning_rate: float = 1e-4

    row: ClassVar[Row] = ROWS["full-tuning"]

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Everything."""
        return Adaptation(full=True)
