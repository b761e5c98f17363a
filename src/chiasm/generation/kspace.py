"""What a scanner that is in a hurry measures: the middle of k-space, with noise, and what an image must keep of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def kept_places(shape: Sequence[int], share: float, device: torch.device | str = "cpu") -> Tensor:
    """Places `shape` of k-space that are kept, bool, as `torch.fft.fftn` orders them: a box about its middle.

    It has `|k| < side share^(1/A) / 2` along each of A axes, for a share of 1 all k, and with k always -k, so
    that a real image stays real.

    Args:
        share: of k-space, above 0 and at most 1; fewer frequencies where the sides do not divide.

    Raises:
        ValueError: another share.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share of {share:g} of k-space cannot be kept: give one above 0 and at most 1")
    kept = torch.ones(tuple(shape), dtype=torch.bool, device=device)
    for axis, side in enumerate(shape):
        far = torch.fft.fftfreq(side, device=device).abs() * side
        most = side * share ** (1 / len(shape)) / 2
        within = far <= (most if share == 1 else math.ceil(most) - 1)
        kept &= within.view(*[-1 if own == axis else 1 for own in range(len(shape))])
    return kept


def spectrum(images: Tensor, axes: int) -> Tensor:
    """K-space of images `(..., *sides)` over their last axes, of which an image of 1 has norm 1."""
    found: Tensor = torch.fft.fftn(images, dim=tuple(range(-axes, 0)), norm="ortho")
    return found


def image_of(k: Tensor, axes: int) -> Tensor:
    """The real images of a spectrum."""
    found: Tensor = torch.fft.ifftn(k, dim=tuple(range(-axes, 0)), norm="ortho").real
    return found


def cropped(images: Tensor, kept: Tensor) -> Tensor:
    """Images `(..., *sides)` of the kept part of their k-space alone: linear, and the same when it is done again."""
    return image_of(spectrum(images, kept.ndim) * kept, kept.ndim)


def measured(images: Tensor, kept: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """The magnitude of images whose kept k-space has complex noise of a deviation `noise` in each part.

    Without noise it is the magnitude of `cropped`.
    """
    grain = torch.randn((2, *images.shape), generator=generator).to(images)
    noisy = (spectrum(images, kept.ndim) + noise * torch.complex(grain[0], grain[1])) * kept
    found: Tensor = torch.fft.ifftn(noisy, dim=tuple(range(-kept.ndim, 0)), norm="ortho").abs()
    return found


def consistent(images: Tensor, low: Tensor, kept: Tensor) -> Tensor:
    """Images whose kept k-space is that of `low`, and the rest their own: what was measured is not told otherwise."""
    return images + cropped(low - images, kept)
