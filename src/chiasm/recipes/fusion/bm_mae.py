"""`bm-mae`: BM-MAE (2025), a shared trunk that first reconstructs masked tokens of all modalities, then predicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, check_sizes
from chiasm.fitting.row import Row
from chiasm.fusion.masked_trunk import DECODER, MaskedTrunk
from chiasm.fusion.transformer import check_heads
from chiasm.recipes.fusion import ROWS
from chiasm.training import Phase
from chiasm.training.masked_tokens import MaskedTokens


@storable("bm-mae")
@dataclass(frozen=True)
class MaskedTrunkDesign:
    """Sizes of a masked autoencoder of tokens."""

    latent_width: int
    depth: int
    heads: int
    decoder_depth: int

    def __post_init__(self) -> None:
        check_sizes(1, self.latent_width, self.depth, self.heads)
        check_size("decoder_depth", self.decoder_depth, 64)
        check_heads(self.latent_width, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> MaskedTrunk:
        """Create a fresh fusion module of these sizes."""
        return MaskedTrunk(
            shapes, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            decoder_depth=self.decoder_depth, dropout=dropout,
        )  # fmt: skip


@dataclass(frozen=True)
class BmMaeRecipe(NetworkRecipe):
    """BM-MAE: masked reconstruction without labels, then the target, the decoder left as it is.

    Args:
        latent_width, depth, heads: D, layers of the trunk, and attention heads of a layer.
        decoder_depth: layers of the decoder.
        seen: share of a patient's tokens that the trunk sees in the first phase.
        base_epochs: epochs of the first phase; 0 leaves it out.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    depth: int = 2
    heads: int = 4
    decoder_depth: int = 1
    seen: float = 0.25
    base_epochs: int = 40

    row: ClassVar[Row] = ROWS["bm-mae"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid sizes
        if not 0 < self.seen < 1:
            raise ValueError(f"seen={self.seen} is not known: it lies between 0 and 1, both left out")
        _ = replace(self.training_options, epochs=self.base_epochs)  # refuses a negative number

    def design(self) -> MaskedTrunkDesign:
        """Return the sizes of the network."""
        return MaskedTrunkDesign(self.latent_width, self.depth, self.heads, self.decoder_depth)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the reconstruction, which reads no label and drops no modality, and the training on the target."""
        masked = replace(self.training_options, epochs=self.base_epochs, modality_dropout=0.0)
        first = Phase(masked, MaskedTokens(self.seen), trainable=_of_fusion, name="reconstruct")
        target = Phase(self.training_options, trainable=lambda name: not _of_decoder(name))
        return (first, target) if self.base_epochs else (target,)


def _of_fusion(name: str) -> bool:
    return name.startswith("fusion.")


def _of_decoder(name: str) -> bool:
    return name.startswith(f"fusion.{DECODER}")
