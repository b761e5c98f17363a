"""Base of the recipes that balance modalities: a network that concatenates one branch a modality."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.artifact import storable
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, new_network, prepare
from chiasm.fusion.concatenated import Concatenated
from chiasm.heads.head import output_width
from chiasm.heads.response import Response
from chiasm.protocols import Predictor


@storable("concatenated")
@dataclass(frozen=True)
class ConcatenatedDesign:
    """Width of the branches, number of outputs of their own heads (0: none), and whether they rebuild their tokens."""

    latent_width: int
    outputs: int = 0
    rebuilds: bool = False

    def __post_init__(self) -> None:
        check_size("latent_width", self.latent_width)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> Concatenated:
        """Create a fresh fusion module of this size."""
        return Concatenated(shapes, self.latent_width, dropout, outputs=self.outputs, rebuilds=self.rebuilds)


@dataclass(frozen=True)
class ConcatenatedRecipe(NetworkRecipe):
    """Branches side by side and a layer on all of them, trained on the head's own loss unless `phases` says otherwise.

    Args:
        modality: the one modality to read; empty: all.
        latent_width: width of a branch, and of the layer.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    def branches_have_heads(self) -> bool:
        """Return whether the training needs a head for each modality."""
        return False

    def branches_rebuild(self, data: Prepared) -> bool:
        """Return whether the training needs branches that rebuild their tokens."""
        return False

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, train and calibrate it."""
        data = prepare(training)
        outputs = output_width(training.target) if self.branches_have_heads() else 0
        design = ConcatenatedDesign(self.latent_width, outputs, self.branches_rebuild(data))
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))
