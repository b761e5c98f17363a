"""How like real pictures drawn ones are: kernel and Fréchet distances between features, and how unlike each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from chiasm.compute.isolation import own_randomness

Array = NDArray[np.float64]
Encoder = Callable[[Tensor], Array]
"""Pictures `(n, C, ...)` in -1 to 1 to features `(n, D)`."""
WIDTHS = (32, 64, 128)
AT_ONCE = 256
PIXELS = {2: 16, 3: 8}
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 7, 1.5
PAIRS = 200


def pixels(pictures: Tensor) -> Array:
    """Pictures as numbers `(n, D)`, at most 16 a side, of volumes 8."""
    side = PIXELS[pictures.ndim - 2]
    pool: Any = functional.adaptive_avg_pool2d if pictures.ndim == 4 else functional.adaptive_avg_pool3d
    found = pool(pictures, [min(side, own) for own in pictures.shape[2:]])
    return np.asarray(found.flatten(1).double().numpy())


def untrained(pictures: Tensor) -> Array:
    """Features `(n, 448)` of a convolutional network that never saw a picture: means and deviations at three scales.

    Its weights are drawn by a fixed seed. Source: Naeem et al. 2020 (arXiv 2002.09797), who find features of random
    networks fairer than ImageNet's where pictures are not ImageNet's.
    """
    volume = pictures.ndim == 5
    conv = functional.conv3d if volume else functional.conv2d
    pool = functional.avg_pool3d if volume else functional.avg_pool2d
    with own_randomness(0):
        weights, before = [], pictures.shape[1]
        for width in WIDTHS:
            shape = (width, before, *(3,) * (pictures.ndim - 2))
            weights.append(torch.randn(shape) * (2 / (before * 3 ** (pictures.ndim - 2))) ** 0.5)
            before = width
    parts = []
    for start in range(0, len(pictures), AT_ONCE):
        x, found = pictures[start : start + AT_ONCE], []
        for level, weight in enumerate(weights):
            x = functional.relu(conv(x, weight, padding=1))
            flat = x.flatten(2)
            found += [flat.mean(2), flat.std(2, correction=0)]
            if level < len(weights) - 1 and min(x.shape[2:]) > 1:
                x = pool(x, 2)
        parts.append(torch.cat(found, 1).double().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 2 * sum(WIDTHS)))


def kernel_distance(one: Array, other: Array) -> float:
    """KID: the unbiased squared MMD of features with the kernel `(x y / D + 1)^3`, 0 where they are alike.

    Source: Binkowski et al. 2018 (arXiv 1801.01401), equation 4; of all pairs and not of subsets.

    Raises:
        ValueError: fewer than two of either.
    """
    n, m = len(one), len(other)
    if min(n, m) < 2:
        raise ValueError("a kernel distance is of two pictures or more on either side")
    width = one.shape[1]
    within = [((own @ own.T / width + 1) ** 3) for own in (one, other)]
    sums = [float((own.sum() - np.trace(own)) / (len(own) * (len(own) - 1))) for own in within]
    return sums[0] + sums[1] - 2 * float(((one @ other.T / width + 1) ** 3).mean())


def frechet_distance(one: Array, other: Array) -> float:
    """FID: `|m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2))` of the means and covariances of features.

    The trace of the root is that of the roots of the eigenvalues of `S_1^(1/2) S_2 S_1^(1/2)`. Of few pictures it is
    too large by much, so that it is to be read beside the same of as many real ones.

    Source: Heusel et al. 2017 (arXiv 1706.08500), equation 6.
    """
    means = one.mean(0) - other.mean(0)
    first, second = (np.atleast_2d(np.cov(own, rowvar=False)) for own in (one, other))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    middle = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return float(means @ means + np.trace(first) + np.trace(second) - 2 * middle)


def likeness_in_scales(one: Tensor, other: Tensor) -> Tensor:
    """MS-SSIM `(n,)` of pairs of pictures in -1 to 1: 1 of the same, near 0 where they have nothing in common.

    As many of the paper's five scales as a window of 7 fits in, with its weights brought to a sum of 1.

    Source: Wang, Simoncelli and Bovik 2003; with negative contrasts as 0.
    """
    levels = 1
    while levels < len(WEIGHTS) and min(one.shape[2:]) // 2**levels >= WINDOW:
        levels += 1
    weights = np.array(WEIGHTS[:levels]) / sum(WEIGHTS[:levels])
    pool = functional.avg_pool2d if one.ndim == 4 else functional.avg_pool3d
    one, other = (one + 1) / 2, (other + 1) / 2
    found = torch.ones(len(one), dtype=one.dtype)
    for level, weight in enumerate(weights):
        whole, contrast = _ssim(one, other)
        own = whole if level == levels - 1 else contrast
        found = found * own.flatten(1).mean(1).clamp_min(0) ** float(weight)
        one, other = pool(one, 2), pool(other, 2)
    return found


def picture_likeness(
    train: Tensor, made: Tensor, held: Tensor, seed: int, encoder: Encoder = untrained
) -> dict[str, Any]:
    """Distances of drawn pictures to training ones, beside those of pictures held out, and how alike pairs are."""
    inside = encoder(train)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    told: dict[str, Any] = {}
    for whose, own in (("synthetic", made), ("held_out", held)):
        if len(own) < 2:
            continue
        features = encoder(own)
        pairs = rng.integers(len(own), size=(PAIRS, 2))
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        alike = likeness_in_scales(own[pairs[:, 0]], own[pairs[:, 1]]) if len(pairs) else torch.zeros(1)
        told[whose] = {
            "kid": kernel_distance(features, inside), "fid": frechet_distance(features, inside),
            "ms_ssim": float(alike.mean()), "pictures": len(own),
        }  # fmt: skip
    return told


def _ssim(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its part of contrast and structure at each place where a window fits, of values from 0 to 1."""
    axes = one.ndim - 2
    side = min(WINDOW, *one.shape[2:])
    line = torch.exp(-((torch.arange(side, dtype=one.dtype) - (side - 1) / 2) ** 2) / (2 * SIGMA**2))
    line = line / line.sum()

    def smooth(x: Tensor) -> Tensor:
        for axis in range(axes):
            shape = [1, 1, *(side if a == axis else 1 for a in range(axes))]
            weight = line.reshape(shape).expand(x.shape[1], *shape[1:])
            x = (functional.conv2d if axes == 2 else functional.conv3d)(x, weight, groups=x.shape[1])
        return x

    a, b = smooth(one), smooth(other)
    spread = smooth(one * one) - a * a, smooth(other * other) - b * b, smooth(one * other) - a * b
    c1, c2 = 0.01**2, 0.03**2
    contrast = (2 * spread[2] + c2) / (spread[0] + spread[1] + c2)
    return (2 * a * b + c1) / (a * a + b * b + c1) * contrast, contrast
