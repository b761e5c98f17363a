"""Means of tensors of one shape: linear, and spherical (SLERP for two tensors, its generalisation for more)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def linear_mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Compute `sum_i w_i x_i / sum_i w_i` in double precision; values of a tensor of weight zero are not read.

    Uniform soup: Wortsman et al., ICML 2022, arXiv 2203.05482.
    """
    require_weights(weights, len(tensors))
    share = shares(weights)
    wide = torch.promote_types(tensors[0].dtype, torch.float64)
    parts = [tensor.to(wide) * own for tensor, own in zip(tensors, share.tolist(), strict=True) if own > 0]
    total = torch.zeros_like(parts[0])
    for part in parts:
        total += part
    return total.to(tensors[0].dtype)


def spherical_mean(tensors: Sequence[Tensor], weights: Sequence[float], *, iterations: int = 50) -> Tensor:
    """Compute the weighted mean of directions on the sphere, times the weighted mean of the norms.

    For two tensors it is SLERP (Shoemake, SIGGRAPH 1985): `(sin((1-t) o) a + sin(t o) b) / sin o` of the unit vectors.
    For more, it is the point `p` where the weighted log maps sum to zero, reached by `p <- exp_p(sum w_i log_p(x_i))`;
    it does not depend on the order. Zero, parallel or opposed tensors fall back to the linear mean; no result is NaN.

    Args:
        tensors: N tensors of one shape, each treated as one flat vector.
        weights: N numbers >= 0.
    """
    require_weights(weights, len(tensors))
    share = shares(weights)
    flat = torch.stack([tensor.reshape(-1) for tensor in tensors]).double()  # (N, P)
    linear = linear_mean(tensors, weights)
    flat, share = flat[share > 0], share[share > 0]
    norms = flat.norm(dim=1)
    if len(flat) == 1:
        return flat[0].to(linear.dtype).reshape(linear.shape)
    if bool((norms < 1e-12).any()):
        return linear
    unit = flat / norms[:, None]
    point = share @ unit
    cosine = unit @ unit.T
    if bool((cosine > 1 - 1e-12).all()) or bool((cosine < -1 + 1e-9).any()) or float(point.norm()) < 1e-9:
        return linear
    point = point / point.norm()
    for _ in range(iterations):
        inner = unit @ point
        tangent = unit - inner[:, None] * point
        length = tangent.norm(dim=1)
        angle = torch.atan2(length, inner)  # acos loses half the digits near zero
        step = share @ (
            tangent * torch.where(length > 1e-15, angle / length.clamp_min(1e-15), torch.zeros_like(angle))[:, None]
        )
        size = step.norm()
        if float(size) < 1e-15:
            break
        point = torch.cos(size) * point + torch.sin(size) * step / size
        point = point / point.norm()
    mean: Tensor = (point * (share @ norms)).to(linear.dtype).reshape(linear.shape)
    return mean


def require_weights(weights: Sequence[float], count: int) -> None:
    """Validate merging weights.

    Raises:
        ValueError: not one finite number >= 0 for each of `count` models, or all are zero.
    """
    if (
        len(weights) != count
        or not all(math.isfinite(weight) and weight >= 0 for weight in weights)
        or not any(weight > 0 for weight in weights)
    ):
        raise ValueError("merging needs one finite weight >= 0 for each model, not all zero")


def shares(weights: Sequence[float]) -> Tensor:
    """Scale weights to sum to one in double precision; they are divided by the largest first to avoid overflow."""
    share = torch.tensor([float(weight) for weight in weights], dtype=torch.float64)
    share = share / share.max()
    return share / share.sum()
