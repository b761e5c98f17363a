"""A small convolutional network that gives maps of centres: down by steps of two, and up again to a quarter."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.detection.centre_maps import CentreMaps

STRIDE = 4  # pixels a cell
RARE = -4.0  # logit of the heat at first: centres are rare


def block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """Convolution of 3 x 3, norm within an image, and a rectifier."""
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), norm(after), nn.ReLU())


def norm(width: int) -> nn.GroupNorm:
    """Norm over groups of eight channels, or over all where they are no multiple of eight."""
    return nn.GroupNorm(width // 8 if width % 8 == 0 else 1, width)


class Same(nn.Module):
    """`x + f(x)`, f two blocks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(block(width, width), block(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, D, H, W)` to the same shape."""
        return x + self.inner(x)


class CentreNetwork(nn.Module):
    """Maps of centres of images `(B, C, H, W)` over a grid of a quarter of their sides; see `CentreMaps`.

    A convolution of 7 x 7 in steps of four gives `width` channels; from there it goes down by steps of two, `depth`
    times with twice the width each, and up again by sums with what was there on the way down. No image reads another.
    """

    def __init__(self, channels: int, labels: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(depth + 1)]
        self.first = nn.Sequential(nn.Conv2d(channels, width, 7, STRIDE, 3, bias=False), norm(width), nn.ReLU())
        self.same = nn.ModuleList(Same(own) for own in widths)
        self.down = nn.ModuleList(block(a, b, 2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.join = nn.ModuleList(block(own, own) for own in widths[:-1])
        self.heat = nn.Sequential(block(width, 2 * width), nn.Conv2d(2 * width, labels, 1))
        self.place = nn.Sequential(block(width, 2 * width), nn.Conv2d(2 * width, 4, 1))
        nn.init.constant_(self.heat[1].bias, RARE)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> CentreMaps:
        """Return the maps; sizes are softplus times four, so that a cell's box begins about three cells wide."""
        x = self.same[0](self.first(images))
        kept = []
        for down, same in zip(self.down, self.same[1:], strict=True):
            kept.append(x)
            x = same(down(x))
        for up, join, beside in reversed(list(zip(self.up, self.join, kept, strict=True))):
            x = join(beside + functional.interpolate(up(x), size=beside.shape[2:], mode="nearest"))
        place = self.place(x)
        return CentreMaps(self.heat(x), functional.softplus(place[:, :2]) * 4, torch.sigmoid(place[:, 2:]))
