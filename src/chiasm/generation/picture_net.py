"""A small U-Net in two or three dimensions that is told how much noise there is and what is known of the patient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.artifact import storable

GROUPS = 8
FREQUENCIES = 32
FASTEST = 1000.0  # radians over the whole of the noise


@storable("picture-net")
@dataclass(frozen=True)
class PictureNetDesign:
    """Sizes of a U-Net of pictures.

    Args:
        axes: 2 of images, 3 of volumes.
        channels: of the pictures.
        condition: numbers that are known of a patient; 0: none.
        width: channels of the finest level, a multiple of 8; each level below has twice as many, at most four times.
        levels: how many sizes there are, each half of the one above.
        patch: pixels a side that the finest level has as one, which costs a quarter, or in volumes an eighth, with 2.
    """

    axes: int
    channels: int
    condition: int = 0
    width: int = 32
    levels: int = 3
    patch: int = 1

    def __post_init__(self) -> None:
        if self.axes not in (2, 3) or self.channels < 1 or self.condition < 0 or self.levels < 1:
            raise ValueError(
                "a U-Net has 2 or 3 axes, one channel and one level or more, and no fewer numbers than none"
            )
        if self.patch not in (1, 2):
            raise ValueError(f"patch={self.patch} is neither 1 nor 2")
        if self.width < GROUPS or self.width % GROUPS:
            raise ValueError(f"width={self.width} is no multiple of {GROUPS}")

    def build(self) -> PictureNet:
        """Create a U-Net with random weights, which says 0 until it is trained."""
        return PictureNet(self)


class PictureNet(nn.Module):
    """`f(x, share, condition)` of pictures `(B, C, ...)`, shares of noise `(B,)` from 0 to 1 and numbers `(B, F)`.

    Nothing known, a condition of None or a row of NaN, is a vector that is learnt; both are added to what scales and
    shifts each block (FiLM). Sides need not be even: what was halved is brought back to the size that it had.
    """

    def __init__(self, design: PictureNetDesign) -> None:
        super().__init__()
        self.design = design
        conv = nn.Conv2d if design.axes == 2 else nn.Conv3d
        widths = [design.width * min(2**level, 4) for level in range(design.levels)]
        told = 4 * design.width
        self.noise = nn.Sequential(nn.Linear(2 * FREQUENCIES, told), nn.SiLU(), nn.Linear(told, told))
        self.known = nn.Linear(design.condition, told) if design.condition else None
        self.unknown = nn.Parameter(torch.zeros(told))
        side, step = (3, 1) if design.patch == 1 else (4, 2)
        self.first = conv(design.channels, widths[0], side, step, 1)
        before = [widths[0], *widths[:-1]]
        self.down = nn.ModuleList(Block(conv, a, b, told) for a, b in zip(before, widths, strict=True))
        self.middle = Block(conv, widths[-1], widths[-1], told)
        above = [*widths[1:], widths[-1]]
        self.up = nn.ModuleList(Block(conv, a + b, b, told) for a, b in zip(above, widths, strict=True))
        self.norm = nn.GroupNorm(GROUPS, widths[0])
        back = conv if design.patch == 1 else nn.ConvTranspose2d if design.axes == 2 else nn.ConvTranspose3d
        self.last = back(widths[0], design.channels, side, step, 1)
        nn.init.zeros_(self.last.weight)
        if self.last.bias is not None:
            nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, share: Tensor, condition: Tensor | None = None) -> Tensor:
        """What is predicted of x, of its shape."""
        told = functional.silu(self.noise(waves(share.to(x.dtype))) + self._of_patient(len(x), condition))
        sides = x.shape[2:]
        if self.design.patch == 2:
            x = functional.pad(x, [own for side in reversed(sides) for own in (0, side % 2)])
        x, kept = self.first(x), []
        for level, block in enumerate(self.down):
            if level:
                x = _halved(x)
            x = block(x, told)
            kept.append(x)
        x = self.middle(x, told)
        for block, beside in zip(reversed(self.up), reversed(kept), strict=True):
            if x.shape[2:] != beside.shape[2:]:
                x = functional.interpolate(x, size=beside.shape[2:])
            x = block(torch.cat([x, beside], 1), told)
        found: Tensor = self.last(functional.silu(self.norm(x)))
        for axis, side in enumerate(sides, 2):
            found = found.narrow(axis, 0, side)
        return found

    def _of_patient(self, n: int, condition: Tensor | None) -> Tensor:
        if condition is None or self.known is None:
            return self.unknown.expand(n, -1)
        lacks = condition.isnan().any(1, keepdim=True)
        return torch.where(lacks, self.unknown, self.known(condition.nan_to_num()))


class Block(nn.Module):
    """Two convolutions beside a way past them; between them `(1 + scale) x + shift` by what is told."""

    def __init__(self, conv: type[nn.Conv2d | nn.Conv3d], before: int, after: int, told: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(GROUPS, before), nn.GroupNorm(GROUPS, after)])
        self.convs = nn.ModuleList([conv(before, after, 3, padding=1), conv(after, after, 3, padding=1)])
        self.told = nn.Linear(told, 2 * after)
        self.past = conv(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Pictures `(B, before, ...)` to `(B, after, ...)`."""
        scale, shift = self.told(told)[(...,) + (None,) * (x.ndim - 2)].chunk(2, 1)
        inner = self.convs[0](functional.silu(self.norms[0](x)))
        inner = self.norms[1](inner) * (1 + scale) + shift
        found: Tensor = self.past(x) + self.convs[1](functional.silu(inner))
        return found


def waves(share: Tensor) -> Tensor:
    """Sines and cosines `(B, 2 x 32)` of a share of noise, of frequencies from 1 to 1000 over the whole of it."""
    speeds = torch.exp(torch.linspace(0, math.log(FASTEST), FREQUENCIES, dtype=share.dtype, device=share.device))
    turned = share[:, None] * speeds
    return torch.cat([turned.sin(), turned.cos()], 1)


def _halved(x: Tensor) -> Tensor:
    """Half of each side, rounded up, by means; a side of 1 stays."""
    pool = functional.avg_pool2d if x.ndim == 4 else functional.avg_pool3d
    found: Tensor = pool(x, 2, ceil_mode=True)
    return found
