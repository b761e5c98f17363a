"""Augmented views of rasters, by kind: what may change without changing what is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.encoders.raster.config import RasterConfig
from chiasm.pretraining.rasters.draws import normal, uniform

GENTLE, STRONG = 0.5, 0.3  # the smallest share of a raster that a crop keeps
ASPECT = math.log(4 / 3)
SHIFT = 0.2  # of a signal's length
CONTRAST, BRIGHTNESS, NOISE, HUE = 0.4, 0.4, 0.1, 0.1  # in deviations of all items


@dataclass(frozen=True)
class Augmentation:
    """Random views of rasters whose channels have mean 0 and deviation 1.

    Images and volumes are cropped, and the crop is resized; signals are shifted in time, so that their rates stay. A
    `strong` view also differs in contrast, brightness and noise, the same in all channels; one of an image of three
    channels in the balance of its colours. Nothing is turned, and nothing is mirrored but along the axes of `flips`:
    in a body sides matter, unless whoever asks knows better. No value is rounded, so that one channel stays one and 16
    bits stay 16. A channel that is the same everywhere, beside others that are not, stays as it is.

    Args:
        axes, channels: of the rasters.
        strong: see above.
        flips: axes of space, from 0, along which every second view is mirrored.

    Raises:
        ValueError: there is no such axis.
    """

    axes: int
    channels: int
    strong: bool = False
    flips: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(not 0 <= axis < self.axes for axis in self.flips) or len(set(self.flips)) < len(self.flips):
            raise ValueError(f"flips are different axes from 0 to {self.axes - 1}")

    @classmethod
    def of(cls, config: RasterConfig, strong: bool, flips: tuple[int, ...] = ()) -> Augmentation:
        """Return that of a network's rasters."""
        return cls(config.axes, config.channels, strong, flips)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a view of each of `(B, C, *space)`; None draws from torch's global generator."""
        varied = x.flatten(2).amax(2) != x.flatten(2).amin(2)  # (B, C)
        there = varied | ~varied.any(1, keepdim=True)
        return torch.where(there.reshape(*there.shape, *[1] * self.axes), self._view(x, generator), x)

    def _view(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        low = STRONG if self.strong else GENTLE
        view = shifted(x, generator) if self.axes == 1 else cropped(x, low, generator)
        for axis in self.flips:
            turned = (uniform(len(x), generator=generator) < 0.5).to(x.device)
            view = torch.where(turned.reshape(-1, *[1] * (x.ndim - 1)), view.flip(2 + axis), view)
        if not self.strong:
            return view
        one = (-1, *[1] * (x.ndim - 1))
        drawn = (2 * uniform(len(x), 2, generator=generator) - 1).to(x)
        view = view * (1 + CONTRAST * drawn[:, 0].reshape(one)) + BRIGHTNESS * drawn[:, 1].reshape(one)
        if self.axes == 2 and self.channels == 3:
            colours = (2 * uniform(len(x), 3, generator=generator) - 1).to(x)
            view = view * (1 + HUE * colours[:, :, None, None])
        return view + NOISE * normal(len(x), *x.shape[1:], generator=generator).to(x)


def cropped(x: Tensor, low: float, generator: torch.Generator | None = None) -> Tensor:
    """Crop a share between `low` and 1 of each image or volume `(B, C, *space)`, and resize it to the same size.

    Sides differ by up to 4 / 3 from that of a square or cube of the same share; a crop lies within, anywhere.
    """
    axes = x.ndim - 2
    share = low + (1 - low) * uniform(len(x), 1, generator=generator)
    aspect = ASPECT * (uniform(len(x), axes, generator=generator) - 0.5)
    side = (share ** (1 / axes) * (aspect - aspect.mean(1, keepdim=True)).exp()).clamp(max=1.0)  # (B, axes)
    place = (1 - side) * (2 * uniform(len(x), axes, generator=generator) - 1)
    grid = torch.zeros(len(x), axes, axes + 1)
    for axis in range(axes):  # of affine_grid the last axis of space comes first
        grid[:, axes - 1 - axis, axes - 1 - axis] = side[:, axis]
        grid[:, axes - 1 - axis, axes] = place[:, axis]
    places = functional.affine_grid(grid.to(x), list(x.shape), align_corners=False)
    return functional.grid_sample(x, places, mode="bilinear", padding_mode="border", align_corners=False)


def shifted(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Shift signals `(B, C, T)` in time by up to a fifth of T either way; the value at the end is repeated."""
    length = x.shape[2]
    by = ((2 * uniform(len(x), 1, generator=generator) - 1) * SHIFT * length).round().long()
    place = (torch.arange(length) + by).clamp(0, length - 1).to(x.device)  # (B, T)
    return torch.take_along_dim(x, place[:, None], 2)
