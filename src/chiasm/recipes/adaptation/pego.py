"""`pego`: PEGO (ECCV 2024, arXiv 2407.15085), LoRA groups kept orthogonal to the frozen weights and each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from chiasm.adapters import low_rank, orthogonality
from chiasm.adapters.sites import projections
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.neural import Prepared
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe
from chiasm.recipes.adaptation.adapted_fusion import Penalised
from chiasm.training import Phase


@dataclass(frozen=True)
class PegoRecipe(AdaptedRecipe):
    """LoRA groups, `W + sum_g (alpha / rank) B_g A_g`, at query, key and value maps with an orthogonality penalty.

    Args:
        rank, alpha: rank and scale of each product.
        groups: number of parallel products.
        weight: weight of the penalty, a sum over the squared width of every site; 0 leaves plain LoRA groups.
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
        """Adapt the maps whose rank is above the adapter's."""
        found = projections(trunk.network, self.rank)
        return Adaptation(low_rank(trunk.network, found, self.rank, self.alpha, self.groups), found)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return one phase with the penalty."""
        return (Phase(self.training_options, Penalised(self.penalty)),)

    def penalty(self, attached: Any) -> Tensor:
        """Return `weight` times the overlap of the LoRA groups with the frozen weights and with each other."""
        return self.weight * orthogonality(attached)
