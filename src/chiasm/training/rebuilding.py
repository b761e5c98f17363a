"""A self-supervised phase: each branch of a fusion rebuilds the tokens of its modality that were hidden from it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from chiasm.fusion.concatenated import REBUILT
from chiasm.tokens import Tokens
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective

HIDDEN = 0.5  # share of a patient's tokens


class Rebuilding(Objective):
    """Mean squared error of hidden tokens over the mean square of all, summed over the modalities; it reads no outcome.

    Half of each patient's tokens of a modality are hidden from its branch, of which the fusion gives what it rebuilds
    as an extra "rebuilt <modality>". Tokens with fixed positions are rebuilt where they were hidden; a bag has no
    positions, and the mean of its hidden tokens is rebuilt. A patient with one token of a modality shows it.

    Held-out patients are compared under masks that are the same in every epoch.
    """

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Hide tokens, by torch's global generator, and compute the error of each modality."""
        drawn = {name: torch.rand(own.mask.shape, device=own.mask.device) for name, own in sorted(batch.tokens.items())}
        return self.rebuilt(network, batch, drawn)

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the mean error over the batches."""
        generator, losses = torch.Generator().manual_seed(0), []
        network.fusion.training = True  # the extras are there; dropout below it stays off
        for batch in batches:
            drawn = {
                name: torch.rand(own.mask.shape, generator=generator).to(own.mask.device)
                for name, own in sorted(batch.tokens.items())
            }
            losses.append(float(self.rebuilt(network, batch, drawn).total))
        network.fusion.training = False
        return sum(losses) / len(losses)

    def rebuilt(self, network: Network, batch: Batch, drawn: dict[str, Tensor]) -> Computed:
        """Compute the error of each modality; `drawn` is uniform, `(B, T)`, and the smaller half is hidden."""
        shown, hidden = {}, {}
        for name, own in batch.tokens.items():
            rank = torch.where(own.mask, drawn[name], 2.0).argsort(1).argsort(1)  # (B, T)
            hidden[name] = own.mask & (rank < (own.mask.sum(1, keepdim=True) * HIDDEN).floor())
            shown[name] = Tokens(own.values, own.mask & ~hidden[name])
        link, fused = network(shown, batch.present)
        losses = {}
        for m, (name, own) in enumerate(sorted(batch.tokens.items())):
            made = fused.extras[REBUILT + name]  # (B, slots or 1, width)
            where = hidden[name] & batch.present[:, [m]]
            values = torch.where(where[..., None], own.values, 0.0)
            if made.shape[1] != values.shape[1] or made.shape[1] == 1:  # a bag
                values = values.sum(1, keepdim=True) / where.sum(1)[:, None, None].clamp_min(1)
                where = where.any(1, keepdim=True)
            gaps = (torch.where(where[..., None], made, 0.0) - values).square().sum()
            losses[f"{REBUILT}{name}"] = gaps / values.square().sum().clamp_min(1e-6)
        return Computed(losses, link, fused)
