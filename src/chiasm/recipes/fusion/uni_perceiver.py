"""`uni-perceiver`: Uni-Perceiver (CVPR 2022), one transformer for patients and classes, compared by their cosine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

from chiasm.artifact import storable
from chiasm.fitting.base import Training, choice
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Shapes, check_size, check_sizes, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.shared_trunk import UniPerceiver
from chiasm.fusion.transformer import check_heads
from chiasm.heads.head import output_width
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion import ROWS


@storable("uni-perceiver")
@dataclass(frozen=True)
class UniPerceiverDesign:
    """Sizes of a Uni-Perceiver: outputs K, width D, layers, heads; whether classes are free vectors."""

    outputs: int
    width: int
    depth: int
    heads: int
    free: bool

    def __post_init__(self) -> None:
        check_size("outputs", self.outputs)
        check_sizes(1, self.width, self.depth, self.heads)
        check_heads(self.width, self.heads)

    @property
    def latent_width(self) -> int:
        """Always 0: the fusion returns the link itself."""
        return 0

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> UniPerceiver:
        """Create a fresh fusion module of these sizes."""
        return UniPerceiver(
            shapes, outputs=self.outputs, free=self.free, latent_width=self.width, depth=self.depth, heads=self.heads,
            dropout=dropout,
        )  # fmt: skip


@dataclass(frozen=True)
class UniPerceiverRecipe(NetworkRecipe):
    """Uni-Perceiver, trained end to end on the one target.

    Args:
        latent_width, depth, heads: D, layers of the trunk, and attention heads of a layer.
        classes: trunk: classes are read by the trunk and compared by cosine; free: they are vectors of their own.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    depth: int = 2
    heads: int = 4
    classes: str = "trunk"

    row: ClassVar[Row] = ROWS["uni-perceiver"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("classes", self.classes, ("trunk", "free"))
        _ = self.design_for(1)  # refuses invalid sizes

    def design_for(self, outputs: int) -> UniPerceiverDesign:
        """Return the sizes of the network for a target of so many outputs."""
        return UniPerceiverDesign(outputs, self.latent_width, self.depth, self.heads, self.classes == "free")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network for the target's outputs, train and calibrate it."""
        data, design = prepare(training), self.design_for(output_width(training.target))
        network = new_network(training, data, design, self.dropout)
        if training.offset is not None:
            cast(UniPerceiver, network.fusion).start_at_zero()
        return self.trained(training, data, design, network)
