"""`unipt`: UniPT (CVPR 2024, arXiv 2308.14316), a small side network on stored hidden states of a frozen encoder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor, nn

from chiasm.adapters import SideNetwork
from chiasm.adapters.hidden_tokens import HiddenStates, layer_tokens
from chiasm.adapters.sites import blocks
from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.registry import columns_among
from chiasm.fitting.base import Training
from chiasm.fitting.neural import Shapes, finish, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.pooled import PooledMean
from chiasm.heads.response import Response
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe
from chiasm.recipes.adaptation.trunks import adapted_modalities, with_others
from chiasm.tokens import Tokens


class SideFusion(nn.Module):
    """A `SideNetwork` for each modality with hidden states, then a `PooledMean` of all modalities.

    Args:
        shapes: modality to (width, slots); hidden states have width L D.
        layers: modality to its number of layers L, for modalities with hidden states.
        narrow: width of the side networks.
        latent_width, dropout, columns: as in `PooledMean`.
    """

    def __init__(
        self,
        shapes: Shapes,
        layers: dict[str, int],
        narrow: int,
        latent_width: int,
        dropout: float,
        columns: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.layers = dict(sorted(layers.items()))
        widths = {name: (own[0] // layers.get(name, 1), own[1]) for name, own in shapes.items()}
        self.sides = nn.ModuleList(
            SideNetwork([widths[name][0]] * count, narrow, widths[name][0]) for name, count in self.layers.items()
        )
        self.fusion = PooledMean(widths, latent_width, dropout, columns)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Aggregate hidden states and fuse all modalities; `present` is `(B, M)` bool, modalities sorted by name."""
        made = dict(tokens)
        for side, (name, count) in zip(self.sides, self.layers.items(), strict=True):
            states: Sequence[Tensor] = tokens[name].values.chunk(count, 2)
            made[name] = replace(tokens[name], values=side(states, tokens[name].mask))
        fused: Fused = self.fusion(made, present)
        return fused


@storable("unipt")
@dataclass(frozen=True)
class SideDesign:
    """Storable sizes from which a `SideFusion` is rebuilt."""

    latent_width: int
    narrow: int
    layers: dict[str, int]
    columns: tuple[str, ...] = ()

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> SideFusion:
        """Create a fresh `SideFusion`."""
        return SideFusion(shapes, self.layers, self.narrow, self.latent_width, dropout, self.columns)


@dataclass(frozen=True)
class UniPTRecipe(AdaptedRecipe):
    """UniPT: the tokens after every block of a frozen network, aggregated with the last block's as the guide.

    The network runs once per patient, when hidden states are stored, and never in training.

    Args:
        narrow: width of the side network.
        most: maximum number of tokens kept per patient.
    """

    narrow: int = 32
    most: int = 64

    row: ClassVar[Row] = ROWS["unipt"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.narrow < 1 or self.most < 1:
            raise ValueError(f"narrow={self.narrow} and most={self.most} must be 1 or more")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Return no change of the network: its hidden states after each block are read instead."""
        blocks(trunk.network)
        return Adaptation()

    def tried(self, trunk: Trunk, made: Adaptation, inputs: Tokens) -> None:
        """Read the states of one patient; raise `ValueError` if the layers' tokens do not correspond."""
        if bool(inputs.mask.any()):
            layer_tokens(trunk.eval(), inputs, blocks(trunk.network))

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Compute the hidden states that are not stored yet, and train on them."""
        states = {name: self.states(training.cohort, name) for name in adapted_modalities(training.cohort)}
        data = prepare(training, with_others(training.cohort, states))
        layers = {name: len(own.blocks) for name, own in states.items()}
        design = SideDesign(self.latent_width, self.narrow, layers, columns_among(data.encoders))
        network = self.fitted(training, data, lambda: design.fusion(data.shapes, self.dropout))
        return finish(training, data, network, design)

    def states(self, cohort: Cohort, modality: str) -> HiddenStates:
        """Return the encoder that reads a modality's hidden states.

        Raises:
            Unsupported: the modality's network has no repeated block.
        """
        own = adapted_modalities(cohort)[modality]
        try:
            names = blocks(own.trunk().network)
        except ValueError as error:
            raise Unsupported(f"the network of modality '{modality}' has no hidden states: {error}") from error
        wide = len(names) * own.token_width
        return HiddenStates(own.spec, own.kind, own.identity, wide, own.token_width, names, self.most)
