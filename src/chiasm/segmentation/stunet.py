"""STU-Net: a residual U-Net of six levels whose sizes grow together, made to be pretrained and tuned elsewhere.

Huang and others, STU-Net: Scalable and Transferable Medical Image Segmentation Models, arXiv 2304.06716.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.segmentation.contrasts import mean_of, those_present
from chiasm.segmentation.unet import convolution

SIZES = {"s": (16, 1), "b": (32, 1), "l": (64, 2), "h": (96, 3)}
"""Name of a size to its width at full size, and the residual blocks of each level."""
GROWTH = (1, 2, 4, 8, 16, 16)
"""Width of each level, in widths at full size."""
LEAST_SIDE = 8
"""Pixels along an axis, below which it is not halved."""


def stepped(conv: nn.Conv2d | nn.Conv3d, x: Tensor, steps: tuple[int, ...]) -> Tensor:
    """A convolution that goes on so many pixels along each axis."""
    apply = functional.conv2d if x.ndim == 4 else functional.conv3d
    return apply(x, conv.weight, conv.bias, steps, conv.weight.shape[-1] // 2)


class Rest(nn.Module):
    """What follows the first convolution of a residual block: `act(n_2 c_2 act(n_1 x) + s)`, s the shortcut."""

    def __init__(self, axes: int, width: int) -> None:
        super().__init__()
        self.conv = convolution(axes)(width, width, 3, 1, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(width, width) for _ in range(2))  # of each channel within an image

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Return `(B, D, ...)`."""
        x = functional.leaky_relu(self.norms[0](x), 0.01)
        return functional.leaky_relu(self.norms[1](self.conv(x)) + shortcut, 0.01)


class ResidualBlock(nn.Module):
    """Two convolutions of three a side with norms of each channel, beside a shortcut, a map of channels or none."""

    def __init__(self, axes: int, before: int, after: int, *, mapped: bool) -> None:
        super().__init__()
        conv = convolution(axes)
        self.conv = conv(before, after, 3, 1, 1)
        self.shortcut = conv(before, after, 1) if mapped else None
        self.rest = Rest(axes, after)

    def forward(self, x: Tensor, steps: tuple[int, ...]) -> Tensor:
        """Return `(B, D, ...)`, an axis as much shorter as its step says."""
        beside = x if self.shortcut is None else stepped(self.shortcut, x, steps)
        own: Tensor = self.rest(stepped(self.conv, x, steps), beside)
        return own


class Entrance(nn.Module):
    """The first residual block, whose first convolution and shortcut are the mean of those of the contrasts present."""

    def __init__(self, axes: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        conv = convolution(axes)
        self.convs = nn.ModuleList(conv(own, width, 3, 1, 1) for own in channels)
        self.shortcuts = nn.ModuleList(conv(own, width, 1) for own in channels)
        self.rest = Rest(axes, width)

    def forward(self, parts: Sequence[tuple[int, Tensor, Tensor]]) -> Tensor:
        """Return `(B, D, ...)` of the contrasts' places, who has them, and their images."""
        x = mean_of([(here, self.convs[m](image)) for m, here, image in parts])
        own: Tensor = self.rest(x, mean_of([(here, self.shortcuts[m](image)) for m, here, image in parts]))
        return own


class Level(nn.Module):
    """Residual blocks one after another, the first of which may halve the sides."""

    def __init__(self, axes: int, before: int, after: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(axes, before if not k else after, after, mapped=not k) for k in range(blocks)
        )

    def forward(self, x: Tensor, *, halving: bool = False) -> Tensor:
        """Return `(B, D, ...)`; an axis that is short stays as it is."""
        for k, block in enumerate(self.blocks):
            short = [2 if halving and not k and side >= LEAST_SIDE else 1 for side in x.shape[2:]]
            x = block(x, tuple(short))
        return x


class StuNet(nn.Module):
    """Logits of labels at every pixel of images of the contrasts present, by an STU-Net.

    Six levels of widths `width` times 1, 2, 4, 8, 16, 16; up again by the nearest neighbour and a map of channels, so
    that no weight depends on how often an axis is halved. An axis is halved down to four pixels and no further. The
    first level averages what it makes of the contrasts present; with one it is the published network.

    Deviations: one head at full size, where the published training has one at each scale of the way up.

    Args:
        channels: contrast to its number of channels.
        axes: of the images, 2 or 3.
        labels: K.
        width: channels at full size.
        blocks: residual blocks of each level.
    """

    def __init__(self, channels: Mapping[str, int], axes: int, labels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.names = sorted(channels)
        conv, widths = convolution(axes), [width * own for own in GROWTH]
        self.entrance = Entrance(axes, [channels[name] for name in self.names], width)
        self.first = nn.ModuleList(ResidualBlock(axes, width, width, mapped=False) for _ in range(blocks - 1))
        self.down = nn.ModuleList(Level(axes, a, b, blocks) for a, b in pairwise(widths))
        self.up = nn.ModuleList(conv(b, a, 1) for a, b in pairwise(widths))
        self.join = nn.ModuleList(Level(axes, 2 * a, a, blocks) for a in widths[:-1])
        self.head = conv(width, labels + 1, 1)

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return logits `(B, K + 1, ...)`, the first of no label.

        Args:
            images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
            present: `(B, M)` bool, contrasts sorted by name, at least one for each image.
        """
        x = self.entrance(list(those_present(self.names, images, present)))
        for block in self.first:
            x = block(x, (1,) * (x.ndim - 2))
        kept = []
        for down in self.down:
            kept.append(x)
            x = down(x, halving=True)
        for up, join, beside in reversed(list(zip(self.up, self.join, kept, strict=True))):
            x = join(torch.cat([functional.interpolate(up(x), size=beside.shape[2:], mode="nearest"), beside], 1))
        logits: Tensor = self.head(x)
        return logits
