"""Objective of a masked autoencoder: tell the tokens that were not seen from those that were. No label is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from chiasm.fusion.dirichlet import draw_kept
from chiasm.fusion.masked_trunk import MaskedTrunk, reconstruction_loss
from chiasm.protocols import Fused
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective, mean_over_patients


class MaskedTokens(Objective):
    """Mean squared error of unseen tokens, of a network whose fusion is a `MaskedTrunk`.

    Tokens that are seen are drawn at each step from torch's global generator, and for the validation always alike.

    Args:
        share: share of each patient's tokens that is seen.
        spread: variance of each modality's tokens in the training set, above zero.
        options: whatever else the training depends on, as text: a checkpoint goes on with the same alone.
    """

    def __init__(self, share: float, spread: Mapping[str, float], options: str = "") -> None:
        self.share, self.spread, self.options = share, spread, options

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Draw, reconstruct and compare."""
        loss, first = self._loss(network, batch, None)
        return Computed({"reconstruction": loss}, network.head(first), Fused(first))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the held-out error, the mean of the batches weighted by their patients."""
        generator = torch.Generator().manual_seed(0)
        return mean_over_patients(batches, lambda batch: {"": self._loss(network, batch, generator)[0]})

    def _loss(self, network: Network, batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        fusion = network.fusion
        assert isinstance(fusion, MaskedTrunk)
        own = {name: batch.tokens[name].where_present(batch.present[:, m]) for m, name in enumerate(fusion.names)}
        kept = draw_kept([own[name].mask.cpu() for name in fusion.names], self.share, generator)
        seen = {name: part.to(batch.present.device) for name, part in zip(fusion.names, kept, strict=True)}
        asked = {name: own[name].mask & ~seen[name] for name in fusion.names}
        found, first = fusion.reconstruct(own, seen, asked)
        return reconstruction_loss(own, found, asked, self.spread), first
