"""SAM-Med2D's adapter: channels are weighed by what the whole image shows, then a path through half the resolution."""

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
    """`y = f(x) + up(relu(down(s * h)))`, `h = norm(f(x))`, `s = sigmoid(W_2 relu(W_1 mean(h)))` a weight a channel.

    `mean` is over the places of the image; W_1 and W_2 map C to `ratio` C and back. `down` is a 3 x 3 convolution of
    stride 2, `up` a transposed 4 x 4 one back to the size of f(x), an odd size too. None has a bias. `up` starts at
    zero and nothing else does: a fresh one is the identity.

    Args:
        ratio: of the channels between W_1 and W_2.
        layout: where the channels lie, "last" `(B, H, W, C)` or "first" `(B, C, H, W)`.
        channels: C where the site does not say.

    Source: Cheng et al., SAM-Med2D, arXiv 2308.16184.
    Deviation: the released code starts `up` at random, has an activation behind it, so that the path only adds, and
    a norm behind the sum, so that a fresh one changes the network; here the norm stands before, and nothing behind.
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
