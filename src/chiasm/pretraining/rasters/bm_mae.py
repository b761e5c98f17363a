"""`bm-mae`: hidden patches of several contrasts are told from those that are seen, of whichever contrasts are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.encoders.raster.channel_transformer import ChannelTransformer
from chiasm.encoders.raster.network import RasterNetwork
from chiasm.encoders.raster.patch_transformer import Block, as_in_mae, positions
from chiasm.pretraining.rasters.draws import uniform
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.mae import own_scale

WIDTH, DEPTH, HEADS = 128, 1, 4  # of the decoder


class MaskedContrasts(Learner):
    """Masked autoencoder over all contrasts at once: the mean squared error of hidden patches, each scaled by itself.

    The patches that are seen are shared among the contrasts by a draw of Dirichlet's distribution, all shares equally
    likely, so that a contrast is often told from the others alone. Those of an absent one are neither read nor told.

    Args:
        share: of the patches of the contrasts present that is hidden; one at least is hidden, and one seen.

    Source: Robinet et al., BM-MAE, arXiv:2505.00568, after MultiMAE, Bachmann et al., arXiv:2204.01678. Deviations: a
    decoder of one layer of width 128 for all contrasts, patches scaled by themselves, and exactly as many patches are
    seen as are asked for.
    """

    network: ChannelTransformer

    def __init__(self, network: ChannelTransformer, share: float) -> None:
        super().__init__()
        config = network.config
        self.network, self.share = network, share
        self.enter = nn.Linear(config.width, WIDTH)
        self.hidden = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.channels = nn.Parameter(torch.randn(config.channels, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.tell = nn.Linear(WIDTH, config.patch_values // config.channels)
        self.register_buffer("positions", positions(config.grid, WIDTH), persistent=False)
        for part in (self.enter, self.blocks, self.tell):
            as_in_mae(part)

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Hide, read the rest, and compare what is told of the hidden patches of contrasts that are there."""
        (x,) = views
        present = self.network.present(x)
        seen = self.drawn(present, generator)  # (B, C N)
        there = present.repeat_interleave(self.network.config.places, 1)
        asked = there & ~seen
        told = self.told(x, seen, there)
        wrong = (told - own_scale(self.network.patches(x))).square().mean(2)
        return ((wrong * asked).sum(1) / asked.sum(1)).mean()

    def guess(self, views: tuple[Tensor, ...]) -> float:
        """Return the loss of one who tells each patch by its mean: the share of patches of more than one colour."""
        (x,) = views
        there = self.network.present(x).repeat_interleave(self.network.config.places, 1)  # (B, C N)
        each = own_scale(self.network.patches(x)).square().mean(2)
        return float(((each * there).sum(1) / there.sum(1)).mean())

    def drawn(self, present: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw which patches are seen, `(B, C N)` bool: of each item the same share of those of contrasts present."""
        batch, channels = present.shape
        count = self.network.config.places
        share = (
            -uniform(batch, channels, generator=generator).clamp_min(1e-12).log()
        )  # exponential: Dirichlet's, scaled
        order = uniform(batch, channels, count, generator=generator).to(present.device).argsort(2).argsort(2)
        share = torch.where(present, share.to(present.device), 0.0)
        there = present.sum(1) * count
        wanted = ((1 - self.share) * there).round().long().clamp(min=1).minimum(there - 1)  # (B,)
        # A patch that is the k-th of its contrast enters when the contrast's share reaches k: the first ones are seen.
        turn = torch.where(present[..., None], (order + 0.5) / share[..., None].clamp_min(1e-12), torch.inf)
        place = turn.flatten(1).argsort(1).argsort(1)
        return place < wanted[:, None]

    def told(self, x: Tensor, seen: Tensor, there: Tensor) -> Tensor:
        """Return what is told of every patch `(B, C N, p)` from those that are seen."""
        most = int(seen.sum(1).max())
        keep = (~seen).to(torch.int8).argsort(dim=1, stable=True)[:, :most]  # (B, K): those seen first
        real = seen.gather(1, keep)
        entered = self.enter(self.network.states(x, keep, real))
        places = (self.positions + self.channels[:, None]).flatten(0, 1)  # (C N, D')
        tokens = self.hidden.expand(len(x), seen.shape[1], -1)
        read = torch.zeros_like(tokens).scatter(1, keep[..., None].expand(-1, -1, WIDTH), entered[:, 1:].to(tokens))
        tokens = torch.where(seen[..., None], read, tokens) + places
        tokens = torch.cat([entered[:, :1], tokens], 1)
        keys = torch.cat([there.new_ones(len(there), 1), there], 1)
        for block in self.blocks:
            tokens = block(tokens, keys)
        found: Tensor = self.tell(self.norm(tokens[:, 1:]))
        return found


def build(network: RasterNetwork, options: Any, generator: torch.Generator) -> MaskedContrasts:
    """Make the learner; its decoder is drawn from torch's global generator, which the caller seeds."""
    assert isinstance(network, ChannelTransformer)
    return MaskedContrasts(network, options.drawn_share)
