"""`mae`: hidden patches are told from those that are seen, of which alone the network reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.encoders.raster.network import RasterNetwork
from chiasm.encoders.raster.patch_transformer import Block, PatchTransformer, as_in_mae, positions
from chiasm.pretraining.rasters.draws import uniform
from chiasm.pretraining.rasters.learner import Learner

WIDTH, DEPTH, HEADS = 128, 1, 4  # of the decoder


class MaskedAutoencoder(Learner):
    """Masked autoencoder: the mean squared error of the numbers of hidden patches, each patch scaled by itself.

        L = mean over hidden patches i of |decoder(network(x_seen))_i - (x_i - mean x_i) / sd x_i|^2 / P

    Which patches are hidden is drawn anew for each item, the same number in all. They do not enter the network.

    Args:
        share: of the patches that is hidden, rounded to patches; one at least is hidden, and one seen.

    Source: He et al., CVPR 2022, arXiv:2111.06377, with normalised pixels; its share of 0.75, and 0.9 with crops of
    half to all of an image, for chest X-rays: Xiao et al., Delving into Masked Autoencoders, arXiv:2210.12843.
    Deviation: a decoder of one layer of width 128, since the networks are small.
    """

    network: PatchTransformer

    def __init__(self, network: PatchTransformer, share: float) -> None:
        super().__init__()
        config = network.config
        self.network = network
        self.seen = min(max(1, round(config.places * (1 - share))), config.places - 1)
        self.enter = nn.Linear(config.width, WIDTH)
        self.hidden = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.tell = nn.Linear(WIDTH, config.patch_values)
        self.register_buffer("positions", positions(config.grid, WIDTH), persistent=False)
        for part in (self.enter, self.blocks, self.tell):
            as_in_mae(part)

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Hide, read the rest, and compare what is told of the hidden patches."""
        (x,) = views
        order = uniform(len(x), self.network.config.places, generator=generator).argsort(1).to(x.device)
        told = self.told(self.network(x, order[:, : self.seen]), order)  # (B, hidden, P)
        answer = own_scale(torch.take_along_dim(self.network.patches(x), order[:, self.seen :, None], 1))
        return (told - answer).square().mean()

    def guess(self, views: tuple[Tensor, ...]) -> float:
        """Return the loss of one who tells each patch by its mean: the share of patches of more than one colour."""
        return float(own_scale(self.network.patches(views[0])).square().mean())

    def told(self, states: Tensor, order: Tensor) -> Tensor:
        """Return what is told of the hidden patches `(B, N - K, P)` from the states `(B, 1 + K, D)` of those seen.

        Args:
            order: `(B, N)`, the patches seen first.
        """
        places = self.positions[order]  # type: ignore[index]  # (B, N, D')
        entered = self.enter(states)
        hidden = self.hidden.expand(len(order), order.shape[1] - self.seen, -1)
        tokens = torch.cat([entered[:, 1:], hidden], 1) + places
        tokens = torch.cat([entered[:, :1], tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        found: Tensor = self.tell(self.norm(tokens[:, 1 + self.seen :]))
        return found


def own_scale(patches: Tensor) -> Tensor:
    """Bring each patch `(..., P)` to mean 0 and variance 1, one of a single colour to zeros."""
    centred = patches - patches.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def build(network: RasterNetwork, options: Any, generator: torch.Generator) -> MaskedAutoencoder:
    """Make the learner; its decoder is drawn from torch's global generator, which the caller seeds."""
    assert isinstance(network, PatchTransformer)
    return MaskedAutoencoder(network, options.drawn_share)
