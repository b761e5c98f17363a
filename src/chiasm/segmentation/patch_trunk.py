"""Features of images by a pretrained transformer over patches that stays as it is, but for thin products beside it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.adapters.attach import attach
from chiasm.adapters.attention_lora import AttentionLoRA
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.patch_transformer import PatchTransformer
from chiasm.segmentation.contrasts import mean_of, those_present
from chiasm.segmentation.unet import Block, convolution, norm

ATTENTION = "attention.qkv"


class PatchTrunk(nn.Module):
    """Features at every pixel: a frozen vision transformer's of the contrasts present, beside their own convolutions.

        f = block(mean over contrasts of conv(x_m), W (mean over contrasts of transformer(x_m), stretched))

    An image is stretched to the transformer's size, and what it says of patches back. Its weights are never changed:
    beside the maps to queries, keys and values of each layer stands a product of rank r, which begins at zero.

    Args:
        channels: contrast to its number of channels, one number for all, the transformer's.
        config: of the transformer.
        width: channels at full size.
        rank: r.
    """

    def __init__(self, channels: Mapping[str, int], config: RasterConfig, width: int, rank: int) -> None:
        super().__init__()
        if set(channels.values()) != {config.channels} or config.network != "vit":
            raise ValueError("a trunk of patches is a vit, and contrasts have as many channels as it was trained on")
        self.names, self.config = sorted(channels), config
        self.transformer = PatchTransformer(config)
        attached = attach(
            self.transformer, AttentionLoRA(rank, float(rank)), lambda name, _: name.endswith(ATTENTION),
            seed=int(torch.randint(2**31, ())),
        )  # fmt: skip
        self.beside = nn.ModuleDict({name.replace(".", "/"): part for name, part in attached.parts.items()})
        conv = convolution(config.axes)
        self.stem = nn.Sequential(conv(config.channels, width, 3, 1, 1, bias=False), norm(width), nn.LeakyReLU(0.01))
        self.narrow = conv(config.width, width, 1)
        self.join = Block(config.axes, 2 * width, width)

    def features(self, images: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features at full size `(B, D, ...)`, and those of patches, as `GatedTrunk.features`."""
        parts = [(here, image) for _, here, image in those_present(self.names, images, present)]
        fine = mean_of([(here, self.stem(image)) for here, image in parts])
        coarse = mean_of([(here, self.patches(image)) for here, image in parts])
        seen = fine.shape[2:]
        stretched = functional.interpolate(self.narrow(coarse), seen, mode=self.mode, align_corners=False)
        return self.join(torch.cat([fine, stretched], 1)), coarse

    def patches(self, image: Tensor) -> Tensor:
        """What the transformer says of the patches of images `(B, C, ...)`."""
        size = functional.interpolate(image, self.config.shape[1:], mode=self.mode, align_corners=False)
        said: Tensor = self.transformer(size)[:, 1:].transpose(1, 2).unflatten(2, self.config.grid)
        return said

    @property
    def mode(self) -> str:
        """How images are stretched."""
        return "bilinear" if self.config.axes == 2 else "trilinear"
