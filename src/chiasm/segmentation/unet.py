"""A U-Net over images or volumes of several contrasts, any of which may be absent: their stems are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(axes: int) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """The convolution over two or three axes."""
    return nn.Conv2d if axes == 2 else nn.Conv3d


class Block(nn.Sequential):
    """Two convolutions of three a side, each with a norm within an image and a leaky rectifier."""

    def __init__(self, axes: int, before: int, after: int, stride: int = 1) -> None:
        conv = convolution(axes)
        parts: list[nn.Module] = []
        for width, step in ((before, stride), (after, 1)):
            parts += [conv(width, after, 3, step, 1, bias=False), norm(after), nn.LeakyReLU(0.01)]
        super().__init__(*parts)


def norm(width: int) -> nn.GroupNorm:
    """Norm over groups of four channels, or over all where they are no multiple of four."""
    return nn.GroupNorm(width // 4 if width % 4 == 0 else 1, width)


class GatedTrunk(nn.Module):
    """Features at every pixel of images `(B, C, ...)` of the contrasts present, by a U-Net without its last map.

        x = sum_m g_m stem_m(x_m) / sum_m g_m, g_m = 1 where contrast m is present, else 0

    and from there `depth` steps down, each halving the sides and doubling the width, and up again by the nearest
    neighbour, beside what was there on the way down. With one contrast present the network is that of this contrast
    alone. No image reads another. Source: Ronneberger, Fischer and Brox, U-Net (arXiv 1505.04597); gates as in missing
    contrasts of HeMIS (arXiv 1607.05194), its mean alone, without the variance.

    Args:
        channels: contrast to its number of channels.
        axes: of the images, 2 or 3.
        width: D, channels at full size.
        depth: steps down.
    """

    def __init__(self, channels: Mapping[str, int], axes: int, width: int, depth: int) -> None:
        super().__init__()
        self.names = sorted(channels)
        widths = [width * 2**k for k in range(depth + 1)]
        conv = convolution(axes)
        self.stems = nn.ModuleList(
            nn.Sequential(conv(channels[name], width, 3, 1, 1, bias=False), norm(width), nn.LeakyReLU(0.01))
            for name in self.names
        )
        self.first = Block(axes, width, width)
        self.down = nn.ModuleList(Block(axes, a, b, 2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(conv(b, a, 1) for a, b in pairwise(widths))
        self.join = nn.ModuleList(Block(axes, 2 * a, a) for a in widths[:-1])

    def features(self, images: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features at full size `(B, D, ...)`, and those at the lowest step `(B, D 2^depth, ...)`.

        Args:
            images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
            present: `(B, M)` bool, contrasts sorted by name, at least one for each image.
        """
        gates = present.float()
        total: Tensor | None = None
        for m, (name, stem) in enumerate(zip(self.names, self.stems, strict=True)):
            if name not in images or not bool(present[:, m].any()):
                continue
            here = present[:, m].view(-1, *[1] * (images[name].ndim - 1))
            own = stem(torch.where(here, images[name], torch.zeros((), dtype=images[name].dtype)))
            own = torch.where(here, own, torch.zeros((), dtype=own.dtype))
            total = own if total is None else total + own
        if total is None:
            raise ValueError("no contrast is present: there is nothing to draw in")
        x: Tensor = self.first(total / gates.sum(1).view(-1, *[1] * (total.ndim - 1)))
        kept = []
        for down in self.down:
            kept.append(x)
            x = down(x)
        lowest = x
        for up, join, beside in reversed(list(zip(self.up, self.join, kept, strict=True))):
            grown = functional.interpolate(up(x), size=beside.shape[2:], mode="nearest")
            x = join(torch.cat([beside, grown], 1))
        return x, lowest


class GatedUNet(GatedTrunk):
    """Logits of labels at every pixel: one map of the features of a `GatedTrunk`.

    Args:
        labels: K; the others as those of the trunk.
    """

    def __init__(self, channels: Mapping[str, int], axes: int, labels: int, width: int, depth: int) -> None:
        super().__init__(channels, axes, width, depth)
        self.last = convolution(axes)(width, labels + 1, 1)

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return logits `(B, K + 1, ...)`, the first of no label; the arguments are those of `features`."""
        logits: Tensor = self.last(self.features(images, present)[0])
        return logits
