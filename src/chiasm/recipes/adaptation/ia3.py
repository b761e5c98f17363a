"""`ia3`: IA3 (NeurIPS 2022, arXiv 2205.05638), a learned scale per channel of keys, values and feed-forward layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.adapters import IA3
from chiasm.adapters.sites import feed_forwards, keys_and_values
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class IA3Recipe(AdaptedRecipe):
    """IA3: `l * k`, `l * v`, and `W_2 (l * act(W_1 x))`, scaling the input of a feed-forward network's last map."""

    row: ClassVar[Row] = ROWS["ia3"]

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt keys, values and the last map of every feed-forward network."""
        last = tuple(last for _, last in feed_forwards(trunk.network))
        return Adaptation(IA3(last), keys_and_values(trunk.network) + last)
