"""Merging the latents of blocks that never met: mean, harmonic mean, geometric mean, sum (MM-Lego, arXiv 2405.19950).

Each but the sum is a weighted mean over the modalities present, so that one block merged alone, or with itself, is
itself. The sum is the mean times the sum of the weights, a factor that the LayerNorm of our heads removes, which is why
recipes offer the means alone. The paper's `product` is the geometric mean; that of experts is in `experts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_Method = Callable[[Tensor, Tensor], Tensor]
_CANCELLED = 1e-5  # length of a sum of unit vectors below which it has no direction, in single precision


def merge_latents(latents: Sequence[Tensor], weights: Tensor, method: str = "mean", domain_axis: int = 1) -> Tensor:
    """One latent of `len(latents)`.

    The harmonic and the geometric mean work on magnitude and phase; real latents are taken to their spectrum along L
    first and back afterwards.

    Args:
        latents: M tensors `(B, L, D)`, all real or all complex.
        weights: `(B, M)` >= 0, zero for an absent modality; each row is scaled to sum one, but for the sum. A row of
            zeros gives zeros.
        method: one of `LATENT_METHODS`, or `sum`.

    Raises:
        ValueError: shapes that differ, a weight below zero or not finite, an unknown method.
    """
    if method not in LATENT_METHODS and method != "sum":
        known = ", ".join([*LATENT_METHODS, "sum"])
        raise ValueError(f"no way of merging latents is called '{method}': choose one of {known}")
    if not latents:
        raise ValueError("there is nothing to merge: give one latent or more")
    shapes = {tuple(latent.shape) for latent in latents}
    if len(shapes) != 1:
        raise ValueError(f"latents of one shape merge, these have {sorted(shapes)}")
    if weights.shape != (latents[0].shape[0], len(latents)):
        raise ValueError(f"weights must be (B, M) = {(latents[0].shape[0], len(latents))}, not {tuple(weights.shape)}")
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        raise ValueError("merge weights must be finite and not negative")
    total = weights.sum(1, keepdim=True)
    share = torch.where(
        total > 0, weights / total.clamp_min(torch.finfo(weights.dtype).tiny), torch.zeros_like(weights)
    )
    share = share.T[:, :, None, None]  # (M, B, 1, 1)
    stacked = torch.stack(list(latents))  # (M, B, L, D)
    stacked = torch.where(share > 0, stacked, torch.zeros((), dtype=stacked.dtype))
    if method == "sum":
        return (stacked * weights.T[:, :, None, None]).sum(0)
    if method == "mean":
        return (stacked * share).sum(0)
    if stacked.is_complex():
        return LATENT_METHODS[method](stacked, share)
    merged = LATENT_METHODS[method](torch.fft.fft(stacked, dim=domain_axis + 1), share)
    back: Tensor = torch.fft.ifft(merged, dim=domain_axis)
    return back.real


def _mean(latents: Tensor, share: Tensor) -> Tensor:
    return (latents * share).sum(0)


def _direction(latents: Tensor, share: Tensor) -> Tensor:
    """The direction of the weighted sum of unit vectors: 179 and -179 degrees give 180, not 0.

    Zero where they cancel: opposed latents of equal weight have no mean direction, and rounding must not choose one.
    """
    unit = torch.polar(torch.ones_like(latents.real), torch.angle(latents))
    total = (unit * share).sum(0)
    length = total.abs()
    found: Tensor = torch.where(length > _CANCELLED, total / length.clamp_min(_CANCELLED), torch.zeros_like(total))
    return found


def _harmonic(latents: Tensor, share: Tensor) -> Tensor:
    """Magnitude `1 / sum(w / |l|)`, zero where one of them is zero; circular mean of the phases."""
    inverse = torch.where(share > 0, share / latents.abs(), torch.zeros((), dtype=share.dtype))
    total = inverse.sum(0)
    magnitude = torch.where(total > 0, 1 / total, torch.zeros_like(total))
    return magnitude * _direction(latents, share)


def _geometric(latents: Tensor, share: Tensor) -> Tensor:
    """Magnitude `prod |l| ** w`; circular mean of the phases."""
    magnitude = torch.where(share > 0, latents.abs() ** share, torch.ones((), dtype=share.dtype)).prod(0)
    magnitude = torch.where(share.sum(0) > 0, magnitude, torch.zeros_like(magnitude))
    return magnitude * _direction(latents, share)


LATENT_METHODS: dict[str, _Method] = {"mean": _mean, "harmonic": _harmonic, "geometric": _geometric}
