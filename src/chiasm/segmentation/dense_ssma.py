"""SSMA over feature maps: a stream of each contrast, gated together at every scale by what all of them show.

Valada, Mohan and Burgard, Self-Supervised Model Adaptation for Multimodal Semantic Segmentation, IJCV 2019, arXiv
1808.03833. `fusion.ssma` is the same of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.segmentation.contrasts import those_present
from chiasm.segmentation.unet import Block, convolution

LEAST = 1e-6  # of a gate, so that their sum is above zero
Part = tuple[int, Tensor, Tensor]
"""Place of a contrast, who has it, its features."""


class DenseGate(nn.Module):
    """Fusion of the contrasts present at one scale, each channel of each place by its share of the gates.

        s = sigmoid(G_2 relu(G_1 [g_1 x_1; ...; g_M x_M])),  w_m = g_m s_m / sum_k g_k s_k,  y = sum_m w_m V_m x_m

    G_1 and G_2 are convolutions of three a side, G_1 to `max(1, M D / eta)` channels, V_m maps channels; g_m is 1 where
    contrast m is present, else 0. With one present `w = 1`, and with equal gates y is a map of the concatenation.

    Args:
        axes: 2 or 3.
        contrasts: M.
        width: D, of each contrast and of the result.
        eta: how much narrower the bottleneck is than the concatenation.
    """

    def __init__(self, axes: int, contrasts: int, width: int, eta: int) -> None:
        super().__init__()
        conv, narrow = convolution(axes), max(1, contrasts * width // eta)
        self.read = nn.ModuleList(conv(width, narrow, 3, 1, 1, bias=False) for _ in range(contrasts))
        self.bias = nn.Parameter(torch.zeros(narrow))
        self.open = nn.ModuleList(conv(narrow, width, 3, 1, 1) for _ in range(contrasts))
        self.map = nn.ModuleList(conv(width, width, 1) for _ in range(contrasts))

    def forward(self, parts: Sequence[Part]) -> tuple[Tensor, dict[int, Tensor]]:
        """Fuse features `(B, D, ...)`; also return the share `(B, D, ...)` of each contrast by its place."""
        first = parts[0][2]
        joined = self.bias.view(1, -1, *[1] * (first.ndim - 2))
        for m, here, features in parts:
            joined = joined + torch.where(here, self.read[m](features), first.new_zeros(()))
        hidden = joined.relu()
        gates = {
            m: torch.where(here, self.open[m](hidden).sigmoid().clamp_min(LEAST), first.new_zeros(()))
            for m, here, _ in parts
        }
        above = torch.stack(list(gates.values())).sum(0).clamp_min(LEAST)
        shares = {m: gate / above for m, gate in gates.items()}
        fused = torch.zeros_like(first)
        for m, here, features in parts:
            fused = fused + torch.where(here, shares[m] * self.map[m](features), first.new_zeros(()))
        return fused, shares


class SsmaUNet(nn.Module):
    """Logits of labels at every pixel by a U-Net with a way down for each contrast, fused at every scale.

    The way up is that of `GatedUNet`, beside what `DenseGate` made of the contrasts present. With one contrast present
    the network is that of this contrast alone, without any gate. No image reads another.

    Deviations from the paper: ways down are those of a U-Net and not of AdapNet++; gates are divided by their sum over
    the contrasts present; V maps single places, where the paper convolves over three a side; fusion at every scale,
    where the paper has two at skips and one at the end; no losses at several resolutions, and streams are trained
    together, contrasts being taken away at random.

    Args:
        channels: contrast to its number of channels.
        axes: of the images, 2 or 3.
        labels: K.
        width: channels at full size.
        depth: steps down.
        eta: see `DenseGate`.
    """

    def __init__(
        self, channels: Mapping[str, int], axes: int, labels: int, *, width: int, depth: int, eta: int
    ) -> None:
        super().__init__()
        self.names = sorted(channels)
        widths = [width * 2**k for k in range(depth + 1)]
        conv = convolution(axes)
        self.streams = nn.ModuleList(
            nn.ModuleList(
                [Block(axes, channels[name], width), *(Block(axes, a, b, 2) for a, b in pairwise(widths))]
            )
            for name in self.names
        )  # fmt: skip
        self.gates = nn.ModuleList(DenseGate(axes, len(self.names), own, eta) for own in widths)
        self.up = nn.ModuleList(conv(b, a, 1) for a, b in pairwise(widths))
        self.join = nn.ModuleList(Block(axes, 2 * a, a) for a in widths[:-1])
        self.last = conv(width, labels + 1, 1)

    def fused(self, images: Mapping[str, Tensor], present: Tensor) -> list[tuple[Tensor, dict[int, Tensor]]]:
        """What the gates make at each scale, the finest first, and the share of each contrast by its place."""
        parts, found = list(those_present(self.names, images, present)), []
        streams = [cast(nn.ModuleList, own) for own in self.streams]
        for scale, gate in enumerate(self.gates):
            parts = [(m, here, streams[m][scale](values)) for m, here, values in parts]
            found.append(gate(parts))
        return found

    def shares(self, images: Mapping[str, Tensor], present: Tensor) -> dict[str, Tensor]:
        """Mean share `(B, S)` of each contrast at each of S scales, NaN where it is absent."""
        scales = [shares for _, shares in self.fused(images, present)]
        gone = torch.full((len(present),), torch.nan)
        return {
            name: torch.stack(
                [torch.where(present[:, m], own[m].flatten(1).mean(1), gone) if m in own else gone for own in scales], 1
            )
            for m, name in enumerate(self.names)
        }

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return logits `(B, K + 1, ...)`, the first of no label.

        Args:
            images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
            present: `(B, M)` bool, contrasts sorted by name, at least one for each image.
        """
        *kept, x = [own for own, _ in self.fused(images, present)]
        for up, join, beside in reversed(list(zip(self.up, self.join, kept, strict=True))):
            grown = functional.interpolate(up(x), size=beside.shape[2:], mode="nearest")
            x = join(torch.cat([beside, grown], 1))
        logits: Tensor = self.last(x)
        return logits
