"""Networks of MONAI as networks of label maps: contrasts are joined as channels, and an absent one is zeros."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.cohort import Unsupported
from chiasm.segmentation.contrasts import those_present

NETWORKS = ("unet", "dynunet", "swin-unetr")
HALVINGS = 5  # of SwinUNETR
LEAST_DEEP = 2  # pixels a side at the deepest level, without which a norm within an image has nothing to go by


class MonaiNet(nn.Module):
    """Logits of labels at every pixel by a network of MONAI.

    Images are filled up behind each axis with zeros to sides that the network halves evenly, and what is drawn there is
    cut off. An absent contrast is zeros, which after scaling is the mean of training images: these networks do not know
    what is absent.

    Args:
        network: a name of `NETWORKS`.
        channels: contrast to its number of channels.
        axes: of the images, 2 or 3.
        labels: K.
        width: channels at full size; for `swin-unetr` a multiple of twelve.
        depth: halvings of the sides; `swin-unetr` always has five.

    Raises:
        Unsupported: MONAI is not installed.
    """

    def __init__(
        self, network: str, channels: Mapping[str, int], axes: int, labels: int, width: int, depth: int
    ) -> None:
        super().__init__()
        self.names, self.channels = sorted(channels), dict(channels)
        self.step = 2 ** (HALVINGS if network == "swin-unetr" else depth)
        self.network = made(network, sum(channels.values()), axes, labels, width, depth)

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return logits `(B, K + 1, ...)`, the first of no label.

        Args:
            images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
            present: `(B, M)` bool, contrasts sorted by name, at least one for each image.
        """
        there = {m: image for m, _, image in those_present(self.names, images, present)}
        like = next(iter(there.values()))
        joined = torch.cat(
            [
                there.get(m, like.new_zeros(len(like), self.channels[name], *like.shape[2:]))
                for m, name in enumerate(self.names)
            ],
            1,
        )
        sides = like.shape[2:]
        short = [max(-(-side // self.step), LEAST_DEEP) * self.step - side for side in sides]
        filled = functional.pad(joined, [own for side in reversed(short) for own in (0, side)])
        logits: Tensor = self.network(filled)
        return logits[(slice(None), slice(None), *(slice(0, side) for side in sides))]


def made(network: str, channels: int, axes: int, labels: int, width: int, depth: int) -> nn.Module:
    """A fresh network of MONAI, with norms within an image, so that no image depends on who else is in the batch.

    Raises:
        Unsupported: MONAI is not installed, or einops, which its SwinUNETR needs.
    """
    try:
        from monai.networks.nets import DynUNet, SwinUNETR, UNet
    except ImportError:
        raise Unsupported("this network is MONAI's, which is not installed: pip install 'chiasm[imaging]'") from None
    widths, steps = [width * 2**k for k in range(depth + 1)], [2] * depth
    options: dict[str, Any] = {"spatial_dims": axes, "in_channels": channels, "out_channels": labels + 1}
    if network == "unet":
        norm = ("instance", {"affine": True})
        found: nn.Module = UNet(**options, channels=widths, strides=steps, num_res_units=2, norm=norm)
    elif network == "dynunet":
        kernels = [3] * (depth + 1)
        found = DynUNet(
            **options,
            kernel_size=kernels,
            strides=[1, *steps],
            upsample_kernel_size=steps,
            filters=widths,
            res_block=True,
        )
    elif find_spec("einops") is None:
        raise Unsupported("MONAI's SwinUNETR needs einops, which is not installed: pip install 'chiasm[imaging]'")
    else:
        found = SwinUNETR(**options, feature_size=width)
    return found
