"""PEGO (ECCV 2024, arXiv 2407.15085): groups of LoRA, kept orthogonal to the encoder's weights and to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from chiasm.adapters import low_rank, orthogonality
from chiasm.adapters.sites import projections
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class PegoRecipe(AdaptedRecipe):
    """`W + sum_g (alpha / rank) B_g A_g` at the maps to queries, keys and values; `weight * orthogonality` in the loss.

    Args:
        rank, alpha: of each product.
        groups: how many products side by side.
        weight: of the penalty, a sum over the squared width of every site; 0 leaves plain groups of LoRA.
    """

    rank: int = 4
    alpha: float = 8.0
    groups: int = 2
    weight: float = 1e-5

    row: ClassVar[Row] = ROWS["pego"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight < 0:
            raise ValueError(f"weight={self.weight} must be 0 or more")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """At the maps whose rank is above the adapter's."""
        found = projections(trunk.network, self.rank)
        return Adaptation(low_rank(trunk.network, found, self.rank, self.alpha, self.groups), found)

    def penalty(self, attached: Any) -> Tensor:
        """`weight` times what the pairs have in common with the weights and with each other."""
        return self.weight * orthogonality(attached)
