"""A head over places instead of pixels: what lies at any coordinate of an image, from features sampled there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

AT_ONCE = 1024
"""Places in a call in evaluation, always as many, so that a place's answer depends on no other's: not on how many."""


def places(shape: Sequence[int], offset: float = 0.5) -> Tensor:
    """Coordinates `(N, A)` between 0 and 1 of a grid in row order, float32: `(k + offset) / side` along each axis.

    Args:
        shape: A sides.
        offset: 0.5, the middles of pixels; 0, their first edges, which grids of 64 and of 256 share.
    """
    axes = [(torch.arange(side, dtype=torch.float64) + offset) / side for side in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape)).float()


def fourier(coordinates: Tensor, bands: int) -> Tensor:
    """Sines and cosines `(N, 2 A bands)` of `pi 2^k c`, k = 0 ... bands - 1, of coordinates c `(N, A)`."""
    rates = math.pi * 2.0 ** torch.arange(bands, dtype=coordinates.dtype, device=coordinates.device)
    angles = (coordinates[..., None] * rates).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], 1)


def sampled(features: Tensor, coordinates: Tensor) -> Tensor:
    """Features `(B, N, C)` at coordinates `(N, A)`, linear between the middles of pixels of `(B, C, ...)`.

    Beyond the outer middles they are those of the edge.
    """
    axes = coordinates.shape[1]
    grid = (2 * coordinates.flip(1) - 1).view(1, *[1] * (axes - 1), -1, axes).expand(len(features), *[-1] * (axes + 1))
    found = functional.grid_sample(features, grid, padding_mode="border", align_corners=False)
    return found.flatten(2).transpose(1, 2)


def filled(rows: Tensor) -> Tensor:
    """Rows `(n, E)` filled up with zeros to `AT_ONCE`."""
    return functional.pad(rows, (0, 0, 0, AT_ONCE - len(rows)))


class CoordinateField(nn.Module):
    """Values at any coordinates of an image, of features sampled there and of where they are.

        y(c) = MLP(features at c, sin and cos of pi 2^k c)

    No norm and nothing else reads more than one place, and in evaluation as many places are asked at a time whatever
    the grid: where two grids meet they are told the same to the last bit. Source: Chen and others, LIIF (CVPR 2021,
    arXiv 2012.09161); Wei and others, I-MedSAM (ECCV 2024, arXiv 2311.17081), whose frequencies, ten up to 2^10, alias
    on small images; ours are `bands`, and its norm over pixels is left out.

    Args:
        channels: C of the features.
        axes: A, 2 or 3.
        out: values at a place.
        hidden: width of each hidden layer.
        layers: hidden layers.
        bands: frequencies; the highest turns 2^(bands - 2) times over an image's side.
        dropout: chance that a unit of a hidden layer is silent in training, and in `spread`.
        beside: E, numbers that are known at each place beside the features.
    """

    def __init__(
        self,
        channels: int,
        axes: int,
        out: int,
        *,
        hidden: int = 64,
        layers: int = 2,
        bands: int = 5,
        dropout: float = 0.0,
        beside: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError("dropout lies between 0 and below 1")
        self.bands, self.dropout, self.hidden = bands, dropout, hidden
        widths = [channels + 2 * axes * bands + beside, *[hidden] * layers]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.last = nn.Linear(hidden, out)

    def forward(
        self, features: Tensor, coordinates: Tensor, masks: Tensor | None = None, beside: Tensor | None = None
    ) -> Tensor:
        """Return the values `(B, N, out)`.

        Args:
            features: `(B, C, ...)` over the image.
            coordinates: `(N, A)` between 0 and 1.
            masks: `(layers, hidden)` by which hidden units are multiplied; None: dropout in training, none later.
            beside: `(B, N, E)`, what is known at each place beside the features, where the field has such inputs.
        """
        if self.training:
            return self.told(features, coordinates, masks, beside)
        each = []
        for row in range(len(features)):
            found = []
            for start in range(0, len(coordinates), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                at = filled(coordinates[part])
                own = None if beside is None else filled(beside[row, part])[None]
                found.append(self.told(features[row : row + 1], at, masks, own)[0, : len(coordinates[part])])
            each.append(torch.cat(found) if found else features.new_zeros(0, self.last.out_features))
        return torch.stack(each)

    def told(self, features: Tensor, coordinates: Tensor, masks: Tensor | None, beside: Tensor | None) -> Tensor:
        """The values `(B, N, out)` in one call; the arguments are those of `forward`."""
        where = fourier(coordinates, self.bands).expand(len(features), -1, -1)
        x = torch.cat([sampled(features, coordinates), where, *([] if beside is None else [beside])], 2)
        for place, layer in enumerate(self.layers):
            x = functional.gelu(layer(x))
            x = functional.dropout(x, self.dropout, self.training) if masks is None else x * masks[place]
        values: Tensor = self.last(x)
        return values

    def masks(self, times: int, seed: int = 0) -> Tensor:
        """Draw dropout masks `(times, layers, hidden)` by a seed; all are ones where nothing is dropped."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.rand(times, len(self.layers), self.hidden, generator=generator)
        kept = (drawn >= self.dropout).to(self.last.weight)
        return kept / (1 - self.dropout)

    @torch.no_grad()
    def spread(self, features: Tensor, coordinates: Tensor, times: int = 2, seed: int = 0) -> Tensor:
        """How unsure the field is at each place, `(B, N)`: the variance of its probabilities over dropout masks.

            u(c) = sum over k of the variance over t of softmax(y_t(c))_k

        The masks are drawn by the seed and hold for all places, so that this is the same in training and in
        evaluation; without dropout it is zero.
        """
        said = [self(features, coordinates, own).softmax(2) for own in self.masks(times, seed)]
        return torch.stack(said).var(0, unbiased=False).sum(2)


def entropy(logits: Tensor) -> Tensor:
    """How unsure `(B, N)` logits `(B, N, K)` are: the entropy of their softmax, in nats."""
    return -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)


def exceeded_by_the_top(unsure: Tensor, share: float) -> Tensor:
    """The value `(B, 1)` that the most unsure of places `(B, N)`, `share` of them and at least one, exceed.

    Where places tie about it fewer exceed it, and none where all are alike.
    """
    count = max(1, math.ceil(share * unsure.shape[1]))
    if count == unsure.shape[1]:
        return unsure.new_full((len(unsure), 1), -torch.inf)
    return unsure.topk(count + 1, 1).values[:, -1:]
