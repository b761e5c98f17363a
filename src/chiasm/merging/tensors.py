"""Merging weights of one shape: the linear mean and the spherical one (SLERP for two, its generalisation for more)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

_Merge = Callable[[Sequence[Tensor], Sequence[float]], Tensor]


def linear_mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """`sum_i w_i x_i / sum_i w_i`; what a tensor of weight zero holds is not read."""
    share = _shares(tensors, weights)
    used = [tensor for tensor, own in zip(tensors, share.tolist(), strict=True) if own > 0]
    return torch.einsum("n,n...->...", share[share > 0], torch.stack(used))


def spherical_mean(tensors: Sequence[Tensor], weights: Sequence[float], *, iterations: int = 50) -> Tensor:
    """The weighted mean on the sphere of directions, times the weighted mean of the norms.

    For two tensors it is SLERP (Shoemake, SIGGRAPH 1985): `(sin((1-t) o) a + sin(t o) b) / sin o` of the unit vectors.
    For more, the point `p` where the weighted log maps sum to zero, reached by `p <- exp_p(sum w_i log_p(x_i))`; it
    does not depend on the order. Zero, parallel or opposed tensors fall back to the linear mean; no result is NaN.

    Args:
        tensors: N tensors of one shape; each is taken as one long vector.
        weights: N numbers >= 0.
    """
    share = _shares(tensors, weights).double()
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


def merge_states(
    states: Sequence[Mapping[str, Tensor]], weights: Sequence[float], merge: _Merge = spherical_mean
) -> dict[str, Tensor]:
    """Merge state dicts of one architecture, tensor by tensor.

    Raises:
        ValueError: keys or shapes that differ, named, before any arithmetic; no model at all.
    """
    if not states:
        raise ValueError("there is no model to merge: give one or more")
    first = states[0]
    for number, state in enumerate(states[1:], start=2):
        odd = sorted(set(first) ^ set(state))
        if odd:
            raise ValueError(f"model {number} and model 1 do not have the same tensors: '{odd[0]}' is in one only")
        for key in first:
            if first[key].shape != state[key].shape:
                own, other = tuple(first[key].shape), tuple(state[key].shape)
                raise ValueError(f"'{key}' has shape {own} in model 1 and {other} in model {number}")
    return {key: merge([state[key] for state in states], weights) for key in first}


def _shares(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    share = torch.tensor(list(weights), dtype=tensors[0].dtype if tensors else None)
    if (
        len(share) != len(tensors)
        or not bool(torch.isfinite(share).all())
        or bool((share < 0).any())
        or float(share.sum()) <= 0
    ):
        raise ValueError("merging needs one finite weight >= 0 for each model, not all zero")
    return share / share.sum()
