"""Channel-adaptive image encoder: any number and kind of channels, each cut into patches, in one small transformer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.batches import Floats, in_order
from chiasm.encoders.frozen import hash_state, identity_of
from chiasm.encoders.image.chada_released import ReleasedChAdaViT
from chiasm.encoders.image.channel_sequence import in_one_sequence, patches_of
from chiasm.encoders.image.pixels import prepared, standardised
from chiasm.encoders.weights import fill, frozen, hash_of, read_weights, seeded, weights_file
from chiasm.readers.reading import Image
from chiasm.tokens import Tokens

POOLS = ("channels", "cls")


class ChannelAdaptiveViT(nn.Module):
    """A vision transformer over the patches of all channels, which one shared convolution embeds, in one sequence.

    The token of patch n in channel c is `conv(x_c)_n + position_n + channel_c`; a class token comes first. Channels
    share the position embeddings, and an absent channel is masked as a key: it is not a channel of zeros.

    Source: Bourriez et al., ChAda-ViT (CVPR 2024), arXiv 2311.15264. Deviation: the channel embedding may be
    chosen by what the channel shows instead of by its place in the file, so that the order of channels is irrelevant;
    norms first, GELU, no position for the class token, own tensor names: `ReleasedChAdaViT` is the released one.

    Args:
        size, patch: side of the image and of a patch, in pixels.
        width, depth, heads: dimensions of the transformer.
        most: number of channel embeddings.
    """

    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int, most: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.randn((size // patch) ** 2, width) * 0.02)
        self.channels = nn.Parameter(torch.randn(most, width) * 0.02)
        self.summary = nn.Parameter(torch.randn(width) * 0.02)
        layer = [
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        ]
        self.layers = nn.ModuleList(layer)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor, kinds: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class token `(B, D)` and the patches of every channel `(B, C, N, D)`.

        Args:
            images: `(B, C, H, W)`; the values of an absent channel have no effect if they are finite.
            kinds: `(B, C)` int64, index of the channel embedding.
            present: `(B, C)` bool.
        """
        patches = patches_of(images, self.patches) + self.positions + self.channels[kinds][:, :, None]
        first = self.summary.expand(len(images), 1, -1)
        return in_one_sequence(first, patches, present, self.layers, self.norm)


LAYOUTS: dict[str, Callable[..., nn.Module]] = {"ours": ChannelAdaptiveViT, "released": ReleasedChAdaViT}


@storable("encoder-chada")
@dataclass(frozen=True)
class ChannelAdaptive:
    """Image encoder with a frozen `ChannelAdaptiveViT`: the class token, and the mean of the patches of each channel.

    Every channel is resized and scaled to mean 0 and deviation 1 separately. Without `weights` the network has initial
    weights drawn from `seed`: random features, not pretrained ones.

    Args:
        weights: a safetensors file of the layout's network, or a folder that holds only this one.
        channels: the channels' names in the order of the channel embeddings, such as `DAPI+GFP`; "" assigns embeddings
            by the position of the channels in a file.
        pool: `channels`, or `cls` for the class token alone.
        size, patch, dim, depth, heads, most, seed: options of the network; the paper has size 224, patch 16, depth 12.
        layout: `ours`, or `released`: the layout and tensor names of a published checkpoint, `ReleasedChAdaViT`.

    Raises:
        ValueError: an image has more than `most` channels, or one that `channels` does not name.
    """

    weights: str = ""
    channels: str = ""
    pool: str = "channels"
    size: int = 64
    patch: int = 8
    dim: int = 192
    depth: int = 4
    heads: int = 3
    most: int = 10
    seed: int = 0
    layout: str = "ours"

    id: ClassVar[str] = "chada"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 16

    def __post_init__(self) -> None:
        if min(self.size, self.patch, self.dim, self.depth, self.heads, self.most) < 1 or self.size % self.patch:
            raise ValueError("size is a multiple of patch, and dim, depth, heads and most are 1 or more")
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout={self.layout!r} is not known: choose one of {', '.join(LAYOUTS)}")
        if self.dim % self.heads or self.pool not in POOLS or len(self._names) > self.most:
            raise ValueError("dim is a multiple of heads, pool is channels or cls, channels names at most `most`")

    @property
    def width(self) -> int:
        return self.dim

    @property
    def slots(self) -> int:
        return 1 if self.pool == "cls" else 0

    @property
    def identity(self) -> str:
        whole = identity_of(replace(self, weights=""), _network(self, self._stamp)[1])
        return whole.replace(",layout=ours", "")  # tokens that were stored before there was a choice keep their name

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Image]) -> Tokens:
        """Encode images to tokens `(n, 1 + channels, dim)`, the class token first, or `(n, 1, dim)` for `pool=cls`."""
        trunk, parts = self._trunk_of(_network(self, self._stamp)[0]), []
        for image in raw:
            with torch.no_grad():
                found = trunk(Tokens(torch.from_numpy(self._planes(image))[None], torch.ones(1, len(image.values)) > 0))
            parts.append(np.asarray(found.values[0].numpy()))
        return in_order(parts, self.width, self.slots)

    def inputs(self, raw: Sequence[Image]) -> Tokens:
        """Return network inputs `(n, channels, 1 + size x size)`: index of the channel embedding, then the pixels."""
        return in_order([self._planes(image) for image in raw], 1 + self.size**2, 0)

    def trunk(self) -> Trunk:
        """Return a trunk with an independent copy of the network."""
        return self._trunk_of(copy.deepcopy(_network(self, self._stamp)[0]))

    def _trunk_of(self, network: nn.Module) -> Trunk:
        return ChannelTrunk(network, self.size, self.pool == "cls")

    def _planes(self, image: Image) -> Floats:
        """Prepare the channels of one image: `(channels, 1 + size x size)`."""
        kinds = torch.tensor(self._kinds(image), dtype=torch.float32)
        planes = [prepared(plane[None], 1, self.size, colour=False) for plane in image.values]
        grid = torch.stack([standardised(plane)[0] for plane in planes])
        return np.asarray(torch.cat([kinds[:, None], grid.flatten(1)], 1).numpy())

    def _kinds(self, image: Image) -> list[int]:
        names = self._names
        if not names and len(image.values) <= self.most:
            return list(range(len(image.values)))
        if not names or not set(image.channels) <= set(names):
            raise ValueError(
                f"an image has {len(image.values)} channels, and most={self.most} of them have a vector"
                if not names
                else "an image has a channel that channels= does not name: add it, or leave the option out"
            )
        return [names.index(channel) for channel in image.channels]

    @property
    def _names(self) -> list[str]:
        return self.channels.split("+") if self.channels else []

    @property
    def _stamp(self) -> str:
        return hash_of((weights_file(self.weights),)) if self.weights else ""


class ChannelTrunk(Trunk):
    """Trunk that maps the channels of images to the class token and the mean of each channel's patches."""

    pads: ClassVar[bool] = True

    def __init__(self, network: nn.Module, size: int, alone: bool) -> None:
        super().__init__(network)
        self.size, self.alone = size, alone

    def forward(self, tokens: Tokens) -> Tokens:
        """Map `(B, C, 1 + size x size)` to `(B, 1 + C, D)`; all channels of an image form one sequence."""
        values = torch.where(tokens.mask[..., None], tokens.values, 0.0)
        images = values[..., 1:].reshape(*tokens.mask.shape, self.size, self.size)
        summary, places = self.network(images, values[..., 0].long(), tokens.mask)
        first = torch.ones_like(tokens.mask[:, :1])
        if self.alone:
            return Tokens(summary[:, None], first)
        return Tokens(torch.cat([summary[:, None], places.mean(2)], 1), torch.cat([first, tokens.mask], 1))


@lru_cache(maxsize=2)
def _network(encoder: ChannelAdaptive, stamp: str) -> tuple[nn.Module, str]:
    """Build the frozen network; return it and the hash of its weights."""
    e = encoder
    with seeded(e.seed):
        network = LAYOUTS[e.layout](e.size, e.patch, e.dim, e.depth, e.heads, e.most)
    if e.weights:
        fill(network, read_weights(weights_file(e.weights)))
    return frozen(network), hash_state(network.state_dict())
