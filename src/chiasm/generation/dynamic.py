"""Frames of a moving scan, of which little of k-space was measured, told with a static scan of the same subject.

A network learns from other subjects, is tuned on one static scan, and reads each frame beside the one before it.

Sources: Sarasaen and others, Fine-tuning deep learning model parameters for improved super-resolution of dynamic MRI
with prior-knowledge (Artificial Intelligence in Medicine 2021, arXiv 2102.02711), the static scan; Chatterjee and
others, DDoS-UNet (IEEE Access 2022, arXiv 2202.05355), the frame before. Ours is smaller, has places as inputs,
learns by the mean absolute error in place of a perceptual loss, whose network would have to be brought along, and
keeps the measured part of k-space as it is.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.compute.isolation import own_randomness, seeded, threads_for
from chiasm.generation.kspace import consistent, cropped


@dataclass(frozen=True)
class FrameOptions:
    """How frames are learnt.

    Attributes:
        width: of the network.
        steps, batch, learning_rate: of Adam.
        motion: how far a subject moves between two frames, as a share of a side.
    """

    width: int = 16
    steps: int = 300
    batch: int = 4
    learning_rate: float = 2e-3
    motion: float = 0.03


class FrameNet(nn.Module):
    """What lies outside of the measured k-space of a frame, from it and the one before: a U-Net of two levels."""

    def __init__(self, axes: int, width: int = 16) -> None:
        super().__init__()
        conv = nn.Conv2d if axes == 2 else nn.Conv3d
        self.axes = axes
        self.first = nn.ModuleList([conv(2 + axes, width, 3, padding=1), conv(width, width, 3, padding=1)])
        self.lower = nn.ModuleList([conv(width, 2 * width, 3, padding=1), conv(2 * width, 2 * width, 3, padding=1)])
        self.joined = conv(3 * width, width, 3, padding=1)
        self.last = conv(width, 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, low: Tensor, before: Tensor, kept: Tensor) -> Tensor:
        """Tell frames `(B, *sides)` from those of little k-space and the frames before them; untrained it is `low`."""
        lines = [torch.linspace(-1, 1, side, device=low.device) for side in low.shape[1:]]
        at = torch.stack(torch.meshgrid(*lines, indexing="ij")).expand(len(low), -1, *low.shape[1:])
        x = torch.cat([low[:, None], before[:, None], at], 1)
        for layer in self.first:
            x = functional.gelu(layer(x))
        pool = functional.avg_pool2d if self.axes == 2 else functional.avg_pool3d
        y = pool(x, 2, ceil_mode=True)
        for layer in self.lower:
            y = functional.gelu(layer(y))
        y = functional.interpolate(y, x.shape[2:], mode="nearest")
        x = functional.gelu(self.joined(torch.cat([x, y], 1)))
        return consistent(low + self.last(x)[:, 0], low, kept)


def moved(images: Tensor, motion: float, generator: torch.Generator) -> Tensor:
    """Images `(B, *sides)` moved by a smooth displacement of at most about `motion` of a side, each by its own."""
    axes = images.ndim - 1
    coarse = torch.randn((len(images), axes, *[4] * axes), generator=generator).to(images)
    mode = "bicubic" if axes == 2 else "trilinear"
    smooth = functional.interpolate(coarse, images.shape[1:], mode=mode, align_corners=True)
    lines = [torch.linspace(-1, 1, side, device=images.device) for side in images.shape[1:]]
    at = torch.stack(torch.meshgrid(*lines, indexing="ij")[::-1], -1)
    grid = at + motion * smooth.movedim(1, -1)
    return functional.grid_sample(images[:, None], grid, padding_mode="border", align_corners=True)[:, 0]


def learnt(
    net: FrameNet,
    scans: Tensor,
    kept: Tensor,
    options: FrameOptions | None = None,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> FrameNet:
    """Return a copy of a network that has learnt from static scans `(N, *sides)`; one scan tunes it to a subject.

    Two movements of a scan are the frame before and the frame that is to be told.
    """
    own = options or FrameOptions()
    net = copy.deepcopy(net)
    draws = torch.Generator().manual_seed(seeded(seed, "frames"))
    with own_randomness(seeded(seed, "net")), threads_for(_work(net, scans, own)):
        adam = torch.optim.Adam(net.parameters(), own.learning_rate)
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, own.steps)
        for step in range(own.steps):
            chosen = scans[torch.randint(len(scans), (own.batch,), generator=draws)]
            before, truth = moved(chosen, own.motion, draws), moved(chosen, own.motion, draws)
            if step % 2:  # the first frame of a series has none before it
                before = cropped(truth, kept)
            adam.zero_grad()
            told = net(cropped(truth, kept), before, kept)
            (told - truth).abs().mean().backward()
            adam.step()
            rate.step()
            if progress is not None:
                progress(step + 1, own.steps)
    return net.eval()


@torch.no_grad()
def followed_frames(net: FrameNet, low: Tensor, kept: Tensor, first: Tensor | None = None) -> Tensor:
    """Tell a series `(F, *sides)` of little k-space frame by frame, each beside what was told of the one before.

    Args:
        first: what stands for the frame before the first; None: the first as it was measured.
    """
    before = low[0] if first is None else first
    told = []
    for frame in low:
        before = net(frame[None], before[None], kept)[0]
        told.append(before)
    return torch.stack(told)


def _work(net: FrameNet, scans: Tensor, options: FrameOptions) -> float:
    weights = sum(own.numel() for own in net.parameters())
    return 3.0 * options.batch * weights * math.prod(scans.shape[1:])
