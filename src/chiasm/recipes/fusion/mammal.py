"""`mammal`: MAMMAL (2024), a prompt of the modalities that a patient has, and a decoder that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

from chiasm.artifact import storable
from chiasm.fitting.base import Training, choice
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Shapes, check_size, check_sizes, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.prompted import PromptFusion
from chiasm.fusion.transformer import check_heads
from chiasm.heads.head import output_width
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.targets import Target

ANSWERS = ("classes", "labels", "numbers")


@storable("mammal")
@dataclass(frozen=True)
class MammalDesign:
    """Sizes of MAMMAL's network: outputs K, how they are answered, width D, layers, heads."""

    outputs: int
    answers: str
    width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        check_size("outputs", self.outputs)
        choice("answers", self.answers, ANSWERS)
        check_sizes(1, self.width, self.depth, self.heads)
        check_heads(self.width, self.heads)

    @property
    def latent_width(self) -> int:
        """Always 0: the fusion returns the link itself."""
        return 0

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> PromptFusion:
        """Create a fresh fusion module of these sizes."""
        return PromptFusion(
            shapes, outputs=self.outputs, answers=self.answers, latent_width=self.width, depth=self.depth,
            heads=self.heads, dropout=dropout,
        )  # fmt: skip


@dataclass(frozen=True)
class MammalRecipe(NetworkRecipe):
    """One encoder-decoder for all tasks, trained end to end on the prompts of the patients.

    Args:
        latent_width, depth, heads: D, layers of the encoder and of the decoder, and attention heads of a layer.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    depth: int = 2
    heads: int = 4

    row: ClassVar[Row] = ROWS["mammal"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = MammalDesign(1, "numbers", self.latent_width, self.depth, self.heads)  # refuses invalid sizes

    def design_for(self, target: Target) -> MammalDesign:
        """Return the sizes of the network: classes and labels are answered in tokens, all else in numbers."""
        answers = "classes" if target.has_classes else "labels" if target.has_labels else "numbers"
        return MammalDesign(output_width(target), answers, self.latent_width, self.depth, self.heads)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network for the target, train and calibrate it."""
        data, design = prepare(training), self.design_for(training.target)
        network = new_network(training, data, design, self.dropout)
        if training.offset is not None:
            cast(PromptFusion, network.fusion).start_at_zero()
        return self.trained(training, data, design, network)
