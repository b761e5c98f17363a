"""A self-supervised phase: each branch of a fusion rebuilds the tokens of its modality that were hidden from it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from chiasm.fusion.concatenated import REBUILT
from chiasm.protocols import Fused
from chiasm.tokens import Tokens
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective

HIDDEN = 0.5  # share of a patient's tokens
LEAST = 1e-6  # of a sum of squares


class Rebuilding(Objective):
    """Squared error of hidden tokens over their own squares, summed over the modalities; it reads no outcome.

    Half of each patient's tokens of a modality are hidden from its branch, of which the fusion gives what it rebuilds
    as an extra "rebuilt <modality>". Tokens with fixed positions are rebuilt where they were hidden; a bag has no
    positions, and the mean of its hidden tokens is rebuilt. A patient with one token of a modality shows it.

    Held-out patients are compared under masks that are the same in every epoch.

    The idea is that of systems which judge surgical feedback and first adapt to videos of their domain without labels;
    here any modality's tokens are rebuilt.
    """

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Hide tokens, by torch's global generator, and compute the error of each modality."""
        drawn = {name: torch.rand(own.mask.shape, device=own.mask.device) for name, own in sorted(batch.tokens.items())}
        return self.rebuilt(network, batch, drawn)

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the sum over the modalities of the error of all held-out patients."""
        generator = torch.Generator().manual_seed(0)
        sums: dict[str, Tensor] = {}
        network.fusion.training = True  # what it rebuilds is there; the dropout below it stays off
        try:
            for batch in batches:
                drawn = {
                    name: torch.rand(tokens.mask.shape, generator=generator).to(tokens.mask.device)
                    for name, tokens in sorted(batch.tokens.items())
                }
                for name, own in self._errors(network, batch, drawn)[0].items():
                    sums[name] = sums[name] + own if name in sums else own
        finally:
            network.fusion.training = False
        return sum(float(own[0] / own[1].clamp_min(LEAST)) for own in sums.values())

    def rebuilt(self, network: Network, batch: Batch, drawn: dict[str, Tensor]) -> Computed:
        """Compute the error of each modality; `drawn` is uniform, `(B, T)`, and the smaller half is hidden."""
        sums, link, fused = self._errors(network, batch, drawn)
        losses = {f"{REBUILT}{name}": own[0] / own[1].clamp_min(LEAST) for name, own in sums.items()}
        return Computed(losses, link, fused)

    def _errors(
        self, network: Network, batch: Batch, drawn: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor, Fused]:
        """Return the summed squares of errors and of hidden values, `(2,)` a modality, with the network's outputs."""
        shown, hidden = {}, {}
        for name, own in batch.tokens.items():
            rank = torch.where(own.mask, drawn[name], 2.0).argsort(1).argsort(1)  # (B, T)
            hidden[name] = own.mask & (rank < (own.mask.sum(1, keepdim=True) * HIDDEN).floor())
            shown[name] = Tokens(own.values, own.mask & ~hidden[name])
        link, fused = network(shown, batch.present)
        sums = {}
        for m, (name, own) in enumerate(sorted(batch.tokens.items())):
            made = fused.extras[REBUILT + name]  # (B, slots or 1, width)
            where = hidden[name] & batch.present[:, [m]]
            values = torch.where(where[..., None], own.values, 0.0)
            if made.shape[1] != values.shape[1] or made.shape[1] == 1:  # a bag
                values = values.sum(1, keepdim=True) / where.sum(1)[:, None, None].clamp_min(1)
                where = where.any(1, keepdim=True)
            gap = (torch.where(where[..., None], made, 0.0) - values).square().sum()
            sums[name] = torch.stack([gap, values.square().sum()])
        return sums, link, fused
