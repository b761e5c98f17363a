"""A small residual convolutional network over rasters of one to three axes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.encoders.raster.config import RasterConfig


class PlaceNorm(nn.LayerNorm):
    """Layer norm over the channels of each place of `(B, D, *space)`; no place reads another."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalise `(B, D, *space)`."""
        return super().forward(values.movedim(1, -1)).movedim(-1, 1)


class Residual(nn.Module):
    """`relu(x + norm(conv(relu(norm(conv(x))))))`, convolutions of 3 along each axis (He et al., CVPR 2016)."""

    def __init__(self, config: RasterConfig, width: int) -> None:
        super().__init__()
        self.one = convolution(config, width, width, 3, 1)
        self.norm = norm_of(config, width)
        self.other = convolution(config, width, width, 3, 1)
        self.last = norm_of(config, width)

    def forward(self, values: Tensor) -> Tensor:
        """Map `(B, D, *space)` to the same shape."""
        inner = functional.relu(self.norm(self.one(values)))
        return functional.relu(values + self.last(self.other(inner)))


class ConvNet(nn.Module):
    """Residual network: a stem, then stages of one residual block, each of half the resolution and twice the width.

    Between stages, and in a stem that reduces, convolutions read places that do not overlap, so that a place of the
    last stage descends from one patch, but for the reach of the residual blocks.
    """

    def __init__(self, config: RasterConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * (1 << k) // config.halvings for k in range(config.depth)]
        stride = config.patch // config.halvings
        reduce = [convolution(config, config.channels, widths[0], 3 if stride == 1 else stride, stride)]
        reduce += [convolution(config, a, b, 2, 2) for a, b in pairwise(widths)]
        self.reduce = nn.ModuleList(reduce)
        self.norms = nn.ModuleList(norm_of(config, width) for width in widths)
        self.blocks = nn.ModuleList(Residual(config, width) for width in widths)

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the feature map of each stage `(B, D_k, *space_k)`, the finest first, the last one `(B, D, *grid)`.

        Raises:
            ValueError: rasters of another shape than `(B, C, *space)`.
        """
        if tuple(x.shape[1:]) != self.config.shape:
            raise ValueError(f"rasters have the shape {tuple(x.shape[1:])}, and the network reads {self.config.shape}")
        found = []
        for reduce, norm, block in zip(self.reduce, self.norms, self.blocks, strict=True):
            x = block(functional.relu(norm(reduce(x))))
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over all places, then the places in row order: `(B, 1 + N, D)`."""
        places = self.stages(x)[-1].flatten(2).transpose(1, 2)
        return torch.cat([places.mean(1, keepdim=True), places], 1)

    def summary(self, x: Tensor) -> Tensor:
        """Return the mean over all places, `(B, D)`."""
        mean: Tensor = self(x)[:, 0]
        return mean


def convolution(config: RasterConfig, before: int, after: int, length: int, stride: int) -> nn.Module:
    """Return a convolution of the config's axes, padded by zeros where it reaches beyond its place."""
    made: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[config.axes - 1]
    module: nn.Module = made(before, after, length, stride, 1 if stride == 1 else 0, bias=False)
    return module


def norm_of(config: RasterConfig, width: int) -> nn.Module:
    """Return the norm that the config names."""
    if config.norm == "layer":
        return PlaceNorm(width)
    made: Any = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[config.axes - 1]
    module: nn.Module = made(width)
    return module
