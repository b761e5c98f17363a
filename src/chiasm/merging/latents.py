"""Merging of latents of separately trained blocks: means, geometric or harmonic too, sum and product (MM-Lego).

Hemker et al., arXiv 2405.19950. All but sum and product are weighted means over the modalities present, so that a
block merged alone, or with itself, is unchanged. The sum is the mean times the sum of the weights, a factor that the
LayerNorm of our heads removes, so recipes do not offer it. The product is the paper's: magnitudes multiply and phases
add, so that it grows with the number of modalities; the geometric mean is its counterpart among the means. The product
of experts is in `experts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_Method = Callable[[Tensor, Tensor], Tensor]
_CANCELLED = 1e-5  # length below which a sum of unit vectors has no direction in single precision


def merge_latents(latents: Sequence[Tensor], weights: Tensor, method: str = "mean", domain_axis: int = 1) -> Tensor:
    """Merge the latents of several modalities into one, `(B, L, D)`.

    The harmonic and the geometric mean and the product work on magnitude and phase; real latents are transformed to
    their spectrum along `domain_axis` first and back afterwards.

    Args:
        latents: M tensors `(B, L, D)`, all real or all complex.
        weights: `(B, M)` >= 0, zero for an absent modality; each row is scaled to sum to one, for the product to the
            number of modalities present, and not at all for the sum. A row of zeros gives zeros.
        method: one of `LATENT_METHODS`, `sum` or `product`.
        domain_axis: axis of the Fourier transform of real latents, L by default.

    Raises:
        ValueError: differing shapes, a weight that is negative or not finite, or an unknown method.
    """
    if method not in {**LATENT_METHODS, **_OTHERS} and method != "sum":
        known = ", ".join([*LATENT_METHODS, "sum", *_OTHERS])
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
    put_together = {**LATENT_METHODS, **_OTHERS}[method]
    if stacked.is_complex():
        return put_together(stacked, share)
    merged = put_together(torch.fft.fft(stacked, dim=domain_axis + 1), share)
    back: Tensor = torch.fft.ifft(merged, dim=domain_axis)
    return back.real


def _mean(latents: Tensor, share: Tensor) -> Tensor:
    return (latents * share).sum(0)


def _direction(latents: Tensor, share: Tensor) -> Tensor:
    """Compute the direction of the weighted sum of unit vectors (circular mean): 179 and -179 degrees give 180, not 0.

    It is zero where they cancel: opposed latents of equal weight have no mean direction, and rounding must not set one.
    """
    unit = torch.polar(torch.ones_like(latents.real), torch.angle(latents))
    total = (unit * share).sum(0)
    length = total.abs()
    found: Tensor = torch.where(length > _CANCELLED, total / length.clamp_min(_CANCELLED), torch.zeros_like(total))
    return found


def _harmonic(latents: Tensor, share: Tensor) -> Tensor:
    """Compute the harmonic mean: magnitude `1 / sum(w / |l|)`, zero if any is zero; circular mean of the phases."""
    inverse = torch.where(share > 0, share / latents.abs(), torch.zeros((), dtype=share.dtype))
    total = inverse.sum(0)
    magnitude = torch.where(total > 0, 1 / total, torch.zeros_like(total))
    return magnitude * _direction(latents, share)


def _geometric(latents: Tensor, share: Tensor) -> Tensor:
    """Compute the geometric mean: magnitude `prod |l| ** w`; circular mean of the phases."""
    magnitude = torch.where(share > 0, latents.abs() ** share, torch.ones((), dtype=share.dtype)).prod(0)
    magnitude = torch.where(share.sum(0) > 0, magnitude, torch.zeros_like(magnitude))
    return magnitude * _direction(latents, share)


def _product(latents: Tensor, share: Tensor) -> Tensor:
    """Compute `prod |l| ** (n w) exp(i sum phase)` of the n present: with equal weights `prod l`.

    Phases are added whole, whatever the weights: a part of a phase would depend on where an angle is cut.
    """
    power = share * (share > 0).sum(0)
    magnitude = torch.where(share > 0, latents.abs() ** power, torch.ones((), dtype=share.dtype)).prod(0)
    magnitude = torch.where(share.sum(0) > 0, magnitude, torch.zeros_like(magnitude))
    return torch.polar(magnitude, torch.where(share > 0, latents.angle(), torch.zeros_like(power)).sum(0))


LATENT_METHODS: dict[str, _Method] = {"mean": _mean, "harmonic": _harmonic, "geometric": _geometric}
"""Means of latents, by name."""
_OTHERS: dict[str, _Method] = {"product": _product}
MERGES = (*LATENT_METHODS, *_OTHERS)
"""What merges the latents of a recipe's blocks, by name."""
