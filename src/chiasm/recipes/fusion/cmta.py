"""`cmta`: Cross-Modal Translation and Alignment (ICCV 2023), each modality read by itself and from the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.artifact import storable
from chiasm.fitting.neural import Prepared, Shapes, check_sizes
from chiasm.fitting.row import Row
from chiasm.fitting.warm_recipe import WarmRecipe
from chiasm.fusion.cmta import Cmta, alignment_loss
from chiasm.fusion.transformer import check_heads
from chiasm.protocols import Fused
from chiasm.recipes.fusion import ROWS
from chiasm.training import Batch, Network, Objective, Phase


@storable("cmta")
@dataclass(frozen=True)
class CmtaDesign:
    """Sizes of a CMTA."""

    latent_width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        check_sizes(1, self.latent_width, self.depth, self.heads)
        check_heads(self.latent_width, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> Cmta:
        """Create a fresh fusion module of these sizes."""
        return Cmta(shapes, latent_width=self.latent_width, depth=self.depth, heads=self.heads, dropout=dropout)


class Aligned(Objective):
    """The head's loss, and `weight` times the alignment of the translations."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return both terms."""
        own = super().losses(network, batch, link, fused)
        return {**own, "alignment": self.weight * alignment_loss(fused)}


@dataclass(frozen=True)
class CmtaRecipe(WarmRecipe):
    """CMTA, trained end to end. The paper's loss is a discrete-time likelihood; ours is the target's own (Cox).

    Args:
        latent_width, depth, heads: D, layers of each encoder and decoder, and attention heads of a layer.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        alignment: weight of the alignment loss; the paper's alpha.
    """

    needs_pairs: ClassVar[bool] = True

    depth: int = 1
    heads: int = 4
    alignment: float = 1.0

    row: ClassVar[Row] = ROWS["cmta"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid sizes
        if not 0 <= self.alignment < math.inf:
            raise ValueError(f"alignment is {self.alignment}, and must be 0 or more, and finite")

    def design(self) -> CmtaDesign:
        """Return the sizes of the network."""
        return CmtaDesign(self.latent_width, self.depth, self.heads)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Train on the target and the alignment at once."""
        return (Phase(self.training_options, Aligned(self.alignment)),)
