"""`bm-mae`: BM-MAE (2025), a shared trunk that first reconstructs masked tokens of all modalities, then predicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.fitting.base import Training
from chiasm.fitting.neural import NetworkPredictor, Prepared, Shapes, check_size, check_sizes, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fitting.warm_recipe import WarmRecipe
from chiasm.fusion.masked_trunk import DECODER, MaskedTrunk
from chiasm.fusion.transformer import check_heads
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.training import Phase
from chiasm.training.masked_tokens import MaskedTokens

READ_AT_ONCE = 256  # patients


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
        if self.decoder_depth:  # 0: there is no decoder
            check_size("decoder_depth", self.decoder_depth, 64)
        check_heads(self.latent_width, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> MaskedTrunk:
        """Create a fresh fusion module of these sizes."""
        return MaskedTrunk(
            shapes, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            decoder_depth=self.decoder_depth, dropout=dropout,
        )  # fmt: skip


@dataclass(frozen=True)
class BmMaeRecipe(WarmRecipe):
    """BM-MAE: masked reconstruction without labels, then the target, the decoder left as it is.

    Args:
        latent_width, depth, heads: D, layers of the trunk, and attention heads of a layer.
        decoder_depth: layers of the decoder.
        seen: share of a patient's tokens that the trunk sees in the first phase, rounded to tokens, at least one.
        base_epochs: epochs of the first phase; 0 leaves it out, as where no patient has a token to hide.
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
        check_size("decoder_depth", self.decoder_depth, 64)
        _ = self.design()  # refuses invalid sizes
        if not 0 < self.seen < 1:
            raise ValueError(f"seen={self.seen} is not known: it lies between 0 and 1, both left out")
        _ = replace(self.training_options, epochs=self.base_epochs)  # refuses a negative number

    def design(self) -> MaskedTrunkDesign:
        """Return the sizes of the network."""
        return MaskedTrunkDesign(self.latent_width, self.depth, self.heads, self.decoder_depth)

    def fits_source(self, network: NetworkPredictor) -> bool:
        """True if a trunk has these sizes; the decoder is no part of the prediction, and one without has none."""
        own = network.design
        return isinstance(own, MaskedTrunkDesign) and replace(own, decoder_depth=0) == replace(
            self.design(), decoder_depth=0
        )

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, with a decoder where there is something to reconstruct, train and calibrate it."""
        data, design = prepare(training), self.design()
        if not self.reconstructs(data):
            design = replace(design, decoder_depth=0)
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def reconstructs(self, data: Prepared) -> bool:
        """Return whether there is a first phase: a patient from whose tokens `seen` hides one."""
        tokens = np.sum([packed.lengths for packed in data.tokens.values()], axis=0)
        return self.base_epochs > 0 and bool((np.round(self.seen * tokens).clip(1) < tokens).any())

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the reconstruction, which reads no label and drops no modality, and the training on the target."""
        target = Phase(self.training_options, trainable=lambda name: not _of_decoder(name))
        if not self.reconstructs(data):
            return (target,)
        masked = replace(self.training_options, epochs=self.base_epochs, modality_dropout=0.0)
        objective = MaskedTokens(self.seen, spreads(data), f"heads={self.heads}, dropout={self.dropout}")
        return Phase(masked, objective, trainable=_of_fusion, name="reconstruct"), target


def spreads(data: Prepared) -> dict[str, float]:
    """Return the variance of each modality's tokens, the mean over its columns, over patients not held out.

    One of constant tokens has 1.
    """
    rows = np.flatnonzero(~data.held_out)
    rows = rows if len(rows) else np.arange(len(data.held_out))
    found = {}
    for name, packed in data.tokens.items():
        total, square, count = torch.zeros(packed.width).double(), torch.zeros(packed.width).double(), 0
        for start in range(0, len(rows), READ_AT_ONCE):
            tokens = packed.take(rows[start : start + READ_AT_ONCE])
            values = tokens.values[tokens.mask].double()
            total, square, count = total + values.sum(0), square + values.square().sum(0), count + len(values)
        mean = total / max(count, 1)
        variance = float((square / max(count, 1) - mean * mean).mean())
        found[name] = variance if variance > 1e-12 else 1.0
    return found


def _of_fusion(name: str) -> bool:
    return name.startswith("fusion.")


def _of_decoder(name: str) -> bool:
    return name.startswith(f"fusion.{DECODER}")
