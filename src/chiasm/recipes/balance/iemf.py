"""`iemf`: inverse effectiveness (arXiv 2505.10176), a fusion layer that learns faster from modalities weak alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.neural import Prepared
from chiasm.fitting.row import Row
from chiasm.recipes.balance import ROWS
from chiasm.recipes.balance.concatenated import ConcatenatedRecipe
from chiasm.training import Phase
from chiasm.training.alone import WithAlone
from chiasm.training.inverse_effectiveness import InverseEffectiveness


@dataclass(frozen=True)
class IEMFRecipe(ConcatenatedRecipe):
    """One network with a head for each modality; how well these do sets the rate of the layer that joins them.

    Args:
        modality: the one modality to read, where nothing is scaled; empty: all.
        latent_width, dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in
            `ConcatenatedRecipe`.
        strength: how far the rate departs from its own, 0 to 1; 0: not at all.
        noise: add noise of the gradient's own spread to it, as the released code does.
    """

    needs_pairs: ClassVar[bool] = True

    strength: float = 1.0
    noise: bool = False

    row: ClassVar[Row] = ROWS["iemf"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength={self.strength} is not known: it lies between 0 and 1")

    def branches_have_heads(self) -> bool:
        """Return True: their likelihoods are what is compared."""
        return True

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return one phase, on the losses of all heads, with the hook."""
        hook = InverseEffectiveness("fusion.fuse", self.strength, self.noise)
        return (Phase(self.training_options, WithAlone(), hooks=(hook,)),)
