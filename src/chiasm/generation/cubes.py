"""Cubes instead of rays: points within a voxel, the weights by which a field's values there become one brightness."""

from __future__ import annotations

import torch
from torch import Tensor


def cube_points(centres: Tensor, half: Tensor, pairs: int, generator: torch.Generator) -> Tensor:
    """Draw points `(N, P, 2, A)` in the cubes about centres `(N, A)`, the nearest pair first.

    A pair lies on opposite sides of the centre, so that the points' mean is the centre whatever is drawn (the released
    code of the paper moves all of them towards one corner), and each pair in other corners, as far as there are some.

    Args:
        half: `(A,)`, half of a cube's sides.
        pairs: P.
    """
    axes = centres.shape[1]
    way = torch.rand(len(centres), pairs, axes, generator=generator, dtype=torch.float32).to(centres)
    corner = torch.arange(pairs, device=centres.device) % 2 ** (axes - 1)
    way = way * (1 - 2 * (corner[:, None] >> torch.arange(axes, device=centres.device) & 1))
    order = way.square().sum(2).argsort(1)
    way = way.gather(1, order[..., None].expand(-1, -1, axes)) * half
    return centres[:, None, None] + torch.stack([way, -way], 2)


def shell_weights(density: Tensor) -> Tensor:
    """Weights `(N, P, 2)` of points from their densities, at least 0, the nearest pair first; they sum to 1 in a cube.

        w = T (1 - exp(-d v)) / sum of the same,    T = exp(-sum of d v over nearer pairs),    v = 1 / (2 P)

    v is what of the cube's volume a point stands for. Equal densities close to 0 give the mean over the cube. Source:
    Chen and others, CuNeRF (ICCV 2023, arXiv 2303.16242), whose v is `4 pi r^2` times the step to the next radius: the
    same in expectation within the ball, too much in the corners, and its weights need not sum to 1.

    Args:
        density: above 0.
    """
    inside = density / (density.shape[1] * density.shape[2])
    pair = inside.sum(2)
    through = torch.exp(pair - pair.cumsum(1))  # (N, P)
    weights = through[..., None] * -torch.expm1(-inside)
    return weights / weights.sum((1, 2), keepdim=True)


def rendered(values: Tensor, density: Tensor) -> Tensor:
    """Brightness `(N,)` of cubes from values and densities `(N, P, 2)` at their points."""
    return (shell_weights(density) * values).sum((1, 2))
