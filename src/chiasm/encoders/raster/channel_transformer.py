"""A transformer over the patches of each channel of a raster by itself, of which any may be absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.patch_transformer import Block, as_in_mae, patches, positions


class ChannelTransformer(nn.Module):
    """Vision transformer in whose one sequence every patch of every channel that is there is a token.

    The token of patch n of channel c is `W x_cn + position_n + channel_c`: all channels share W and the positions. A
    channel that is the same everywhere shows nothing and is absent, as one that a source has not is filled with zeros:
    its tokens are no keys, and count in no mean. Of a raster of one colour all channels are there.

    Source: Bourriez et al., ChAda-ViT, CVPR 2024, arXiv:2311.15264; contrasts of which any subset is there, as BM-MAE,
    arXiv:2505.00568. Deviation of both: positions of sines and cosines; of the latter: contrasts share W.
    """

    positions: Tensor

    def __init__(self, config: RasterConfig) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(config.patch_values // config.channels, config.width)
        self.channels = nn.Parameter(torch.randn(config.channels, config.width) * 0.02)
        self.first = nn.Parameter(torch.randn(1, 1, config.width) * 0.02)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("positions", positions(config.grid, config.width), persistent=False)
        as_in_mae(self)

    def present(self, x: Tensor) -> Tensor:
        """Return which channels of `(B, C, *space)` are there, `(B, C)` bool, at least one."""
        flat = x.flatten(2)
        varied = flat.amax(2) != flat.amin(2)
        return varied | ~varied.any(1, keepdim=True)

    def patches(self, x: Tensor) -> Tensor:
        """Cut rasters `(B, C, *space)` into raw patches of each channel `(B, C N, p)`, one channel after the other."""
        cut = patches(x, self.config).reshape(len(x), self.config.places, self.config.channels, -1)  # (B, N, C, p)
        return cut.transpose(1, 2).flatten(1, 2)

    def states(self, x: Tensor, keep: Tensor | None = None, there: Tensor | None = None) -> Tensor:
        """Return the states `(B, 1 + K, D)`, that of the class token first, then of tokens one channel after the other.

        Args:
            x: rasters `(B, C, *space)`.
            keep: `(B, K)` long, the tokens of C N that are read; the others never enter. None: all.
            there: `(B, K)` bool, which of those are keys; None: those of channels that are present.
        """
        config = self.config
        tokens = self.project(self.patches(x)).unflatten(1, (config.channels, -1))
        tokens = (tokens + self.positions + self.channels[:, None]).flatten(1, 2)  # (B, C N, D)
        if there is None:
            there = self.present(x).repeat_interleave(config.places, 1)
            there = there if keep is None else there.gather(1, keep)
        if keep is not None:
            tokens = torch.take_along_dim(tokens, keep[..., None], 1)
        tokens = torch.cat([self.first.expand(len(tokens), 1, -1), tokens], 1)
        keys = torch.cat([there.new_ones(len(there), 1), there], 1)
        for block in self.blocks:
            tokens = block(tokens, keys)
        found: Tensor = self.norm(tokens)
        return found

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return the class token's state, and of each place the mean over the channels present: `(B, 1 + K, D)`.

        Args:
            keep: `(B, K)` long, the places that are read, of every channel; None: all.
        """
        channels, count = self.config.channels, self.config.places
        here = self.present(x)
        if keep is not None:
            start = torch.arange(channels, device=x.device)[:, None] * count
            keep = (keep[:, None] + start).flatten(1)  # (B, C K)
        states = self.states(x, keep)
        apart = states[:, 1:].reshape(len(x), channels, -1, self.config.width)  # (B, C, K, D)
        mean = torch.where(here[..., None, None], apart, 0.0).sum(1) / here.sum(1)[:, None, None]
        return torch.cat([states[:, :1], mean], 1)

    def summary(self, x: Tensor) -> Tensor:
        """Return the mean state of all places, `(B, D)`."""
        mean: Tensor = self(x)[:, 1:].mean(1)
        return mean
