"""`gin`: graph isomorphism networks on molecules (ICLR 2019, with bonds as in GINE), beside other modalities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import fit_encoders
from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.molecule.bonds import graphs_of
from chiasm.encoders.molecule.molecules import ATOM
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Shapes, check_size, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.graphs import GraphsAndMeans
from chiasm.heads.response import Response
from chiasm.protocols import Encoder, Predictor
from chiasm.recipes.fusion import ROWS


@storable("gin")
@dataclass(frozen=True)
class GinDesign:
    """The modalities that are graphs, the width, and the number of rounds."""

    graphs: tuple[str, ...]
    latent_width: int
    layers: int

    def __post_init__(self) -> None:
        check_size("latent_width", self.latent_width)
        check_size("layers", self.layers, 64)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> GraphsAndMeans:
        """Create a fresh fusion module of this size."""
        return GraphsAndMeans(
            shapes, self.graphs, atom=ATOM, latent_width=self.latent_width, layers=self.layers, dropout=dropout
        )


def with_graphs(cohort: Cohort) -> dict[str, Encoder]:
    """Fit the encoders of a cohort; atoms and bonds are passed on as they are, not projected."""
    return fit_encoders(cohort, {name: BagEncoder() for name in graphs_of(cohort)})


def require_graph(cohort: Cohort, *instead: str) -> None:
    """Check that a modality is a graph of atoms and bonds.

    Raises:
        Unsupported: none is; `instead` names recipes that need none.
    """
    if not graphs_of(cohort):
        raise Unsupported(
            f"no modality is a molecule as a graph: write encoder = \"bonds\" at one of kind 'molecule', or use "
            f"{' or '.join(instead)}, which need none"
        )


@dataclass(frozen=True)
class Gin(NetworkRecipe):
    """Graph isomorphism network on every molecule that is given as atoms and bonds; other modalities by their mean.

    Args:
        latent_width: width D of atoms and embedding.
        layers: rounds in which atoms hear of their neighbours.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    layers: int = 5

    row: ClassVar[Row] = ROWS["gin"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("layers", self.layers, 64)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if no modality is a molecule as a graph."""
        super().supports(cohort)
        require_graph(cohort, "late-fusion", "healnet")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network for the graphs of the training set, train and calibrate it."""
        data = prepare(training, with_graphs(training.cohort))
        design = GinDesign(graphs_of(training.cohort), self.latent_width, self.layers)
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))
