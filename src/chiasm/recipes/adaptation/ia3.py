"""IA3 (NeurIPS 2022, arXiv 2205.05638): a scale for each channel of keys, values and feed-forward networks."""

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
    """`l * k`, `l * v`, and `W_2 (l * act(W_1 x))`: what the last map of a feed-forward network reads is scaled."""

    row: ClassVar[Row] = ROWS["ia3"]

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """At keys and values, and at the end of every feed-forward network."""
        last = tuple(last for _, last in feed_forwards(trunk.network))
        return Adaptation(IA3(last), keys_and_values(trunk.network) + last)
