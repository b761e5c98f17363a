"""`full-tuning`: full fine-tuning of every encoder weight that the tokens depend on; a reference for other recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class FullTuning(AdaptedRecipe):
    """Full fine-tuning of the network, with its dropout and its running statistics, if it has any."""

    learning_rate: float = 1e-4

    row: ClassVar[Row] = ROWS["full-tuning"]

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Train every weight."""
        return Adaptation(full=True)
