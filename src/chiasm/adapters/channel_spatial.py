"""SAM-Med2D adapter: channel weights from the whole image, followed by a convolutional path at half resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.adapters.part import Part, channels_of
from chiasm.artifact import storable


@storable("adapter-channel-spatial")
@dataclass(frozen=True)
class ChannelSpatial:
    """Channel and spatial adapter for images: `y = f(x) + up(relu(down(s * h)))`, with `h = norm(f(x))`.

    `s = sigmoid(W_2 relu(W_1 mean(h)))` is a weight per channel, `mean` is over image positions, and W_1 and W_2 map C
    to `ratio` C and back. `down` is a 3 x 3 convolution of stride 2, `up` a transposed 4 x 4 convolution back to the
    size of f(x), odd sizes included. None has a bias. Only `up` starts at zero: a fresh adapter is the identity.

    Args:
        ratio: share of channels between W_1 and W_2.
        layout: position of the channels, "last" `(B, H, W, C)` or "first" `(B, C, H, W)`.
        channels: C, if the site does not define it.

    Source: Cheng et al., SAM-Med2D, arXiv 2308.16184.
    Deviation: the released code initialises `up` at random, applies an activation after it, so that the path can only
    add, and a norm after the sum, so that a fresh adapter changes the network; here the norm comes first.
    """

    ratio: float = 0.25
    layout: Literal["last", "first"] = "last"
    channels: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio {self.ratio} must lie above 0 and at most at 1")

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        channels = {name: self.channels or channels_of(name, own)[1] for name, own in sites.items()}
        return {name: _ChannelSpatialPart(own, self) for name, own in channels.items()}


class _ChannelSpatialPart(Part):
    def __init__(self, channels: int, options: ChannelSpatial) -> None:
        super().__init__()
        self.first = options.layout == "first"
        narrow = max(1, round(options.ratio * channels))
        self.norm = nn.LayerNorm(channels)
        self.squeeze, self.excite = nn.Linear(channels, narrow, bias=False), nn.Linear(narrow, channels, bias=False)
        self.down = nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
        self.up = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, given: Tensor, output: Tensor) -> Tensor:
        if output.ndim != 4:
            raise ValueError(f"an adapter of images met a tensor of {output.ndim} axes")
        hidden: Tensor = self.norm(output.movedim(1, -1) if self.first else output)  # (B, H, W, C)
        weights = F.relu(self.squeeze(hidden.mean((1, 2))))
        weights = self.excite(weights).sigmoid()[:, None, None]  # (B, 1, 1, C)
        small = F.relu(self.down((hidden * weights).movedim(-1, 1)))
        path: Tensor = self.up(small)[..., : hidden.shape[1], : hidden.shape[2]]
        return output + (path if self.first else path.movedim(1, -1))
