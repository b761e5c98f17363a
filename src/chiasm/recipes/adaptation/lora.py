"""`lora`: LoRA (ICLR 2022, arXiv 2106.09685), low-rank updates of the frozen maps of an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.adapters import low_rank
from chiasm.adapters.sites import linear_maps, projections
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import choice
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe

WHERE = ("attention", "all")


@dataclass(frozen=True)
class LoRARecipe(AdaptedRecipe):
    """LoRA, `W + (alpha / rank) B A`, at the query, key and value maps or at every linear map and convolution.

    Args:
        rank, alpha: rank and scale of the update.
        where: "attention", or "all"; a network without attention is adapted at all its maps.
    """

    rank: int = 8
    alpha: float = 16.0
    where: str = "attention"

    row: ClassVar[Row] = ROWS["lora"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("where", self.where, WHERE)

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt the maps whose rank is above the adapter's."""
        found = (projections if self.where == "attention" else linear_maps)(trunk.network, self.rank)
        return Adaptation(low_rank(trunk.network, found, self.rank, self.alpha), found)
