"""A transformer over the patches of rasters, which reads all of them or those alone that are kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.encoders.raster.config import RasterConfig


class Attention(nn.Module):
    """Self-attention of all tokens among each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, keys: Tensor | None = None) -> Tensor:
        """Map `(B, T, D)` to `(B, T, D)`; `keys` `(B, T)` bool are the tokens that are read, None: all."""
        batch, count, width = tokens.shape
        parts = self.qkv(tokens).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if keys is None else keys[:, None, None]
        found = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], mask)
        mixed: Tensor = self.out(found.transpose(1, 2).reshape(batch, count, width))
        return mixed


class Block(nn.Module):
    """A layer: `x + attention(norm(x))`, then `x + mlp(norm(x))` with a hidden width of 4 D."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.between = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor, keys: Tensor | None = None) -> Tensor:
        """Map `(B, T, D)` to `(B, T, D)`; `keys` as for `Attention`."""
        tokens = tokens + self.attention(self.before(tokens), keys)
        mixed: Tensor = tokens + self.mlp(self.between(tokens))
        return mixed


class PatchTransformer(nn.Module):
    """Vision transformer over rasters of one to three axes, with positions of sines and cosines and a class token.

    Source: Dosovitskiy et al., ICLR 2021, arXiv:2010.11929; positions and what is kept as He et al., Masked
    Autoencoders, CVPR 2022, arXiv:2111.06377.
    """

    positions: Tensor

    def __init__(self, config: RasterConfig) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(config.patch_values, config.width)
        self.first = nn.Parameter(torch.randn(1, 1, config.width) * 0.02)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("positions", positions(config.grid, config.width), persistent=False)
        as_in_mae(self)

    def patches(self, x: Tensor) -> Tensor:
        """Cut rasters `(B, C, *space)` into raw patches `(B, N, P)`, in row order, each channel by channel."""
        return patches(x, self.config)

    def embed(self, x: Tensor) -> Tensor:
        """Return the patches' embeddings `(B, N, D)`, with their positions."""
        embedded: Tensor = self.project(self.patches(x)) + self.positions
        return embedded

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return the states `(B, 1 + K, D)`, that of the class token first.

        Args:
            x: rasters `(B, C, *space)`.
            keep: `(B, K)` long, the patches that are read; the others never enter. None: all.
        """
        tokens = self.embed(x)
        if keep is not None:
            tokens = torch.take_along_dim(tokens, keep[..., None], 1)
        tokens = torch.cat([self.first.expand(len(tokens), 1, -1), tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        states: Tensor = self.norm(tokens)
        return states

    def summary(self, x: Tensor) -> Tensor:
        """Return the mean state of all patches, `(B, D)`."""
        mean: Tensor = self(x)[:, 1:].mean(1)
        return mean


def patches(x: Tensor, config: RasterConfig) -> Tensor:
    """Cut rasters `(B, C, *space)` into raw patches `(B, N, P)`, in row order, each channel by channel.

    Raises:
        ValueError: they are of another shape.
    """
    if tuple(x.shape[1:]) != config.shape:
        raise ValueError(f"rasters have the shape {tuple(x.shape[1:])}, and the network reads {config.shape}")
    axes = config.axes
    cut = x.reshape(len(x), config.channels, *(n for k in config.grid for n in (k, config.patch)))
    places, inside = [2 + 2 * axis for axis in range(axes)], [3 + 2 * axis for axis in range(axes)]
    return cut.permute(0, *places, 1, *inside).reshape(len(x), config.places, config.patch_values)


def positions(grid: tuple[int, ...], width: int) -> Tensor:
    """Return fixed positions `(N, D)`: for each axis sines and cosines of `place / 10,000^(2 k / n)`.

    The axes share the width evenly, n numbers each, an even number; what is left over is zero.
    """
    own = width // len(grid) // 2 * 2
    rates = 1.0 / 10_000 ** (torch.arange(own // 2, dtype=torch.float64) * 2 / own)
    found = torch.zeros(math.prod(grid), width, dtype=torch.float64)
    places = torch.cartesian_prod(*(torch.arange(length) for length in grid)).reshape(len(found), -1)
    for axis in range(len(grid)):
        angles = places[:, axis, None] * rates
        found[:, axis * own : (axis + 1) * own] = torch.cat([angles.sin(), angles.cos()], 1)
    return found.float()


def as_in_mae(network: nn.Module) -> None:
    """Draw the initial weights of every linear map by Xavier's uniform rule, with biases of zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
