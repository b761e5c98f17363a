"""Which tokens a masked autoencoder sees: an exact number for each patient, shared out among the modalities."""

from __future__ import annotations

import torch
from torch import Tensor

TRIES = 16  # draws that are refused before one is made to fit


def dirichlet_counts(available: Tensor, keep: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Share `keep` tokens of each patient out among the modalities by a Dirichlet(1, ..., 1) draw: `(B, M)` int64.

    The draw is uniform on the simplex of the modalities that a patient has. One that asks more tokens of a modality
    than there are is drawn again, up to 16 times; then the excess goes to the others by what they have left. Counts are
    rounded by largest remainders, so that each row sums to `keep` exactly, and no count is above `available`.

    Source: BM-MAE, Robinet et al., arXiv 2505.00568, section on masking. Deviation: a plain rounding of each share, as
    in the released code, keeps more or fewer tokens than it should.

    Args:
        available: `(B, M)` int64, tokens of each modality, 0 if it is absent.
        keep: `(B,)` int64, at most the row's sum.
        generator: of the draws; None: torch's global one.

    Raises:
        ValueError: more is to be kept than there is.
    """
    if bool((keep > available.sum(1)).any()):
        raise ValueError("more tokens are to be kept than a patient has")
    wanted = keep[:, None].double()
    ideal = _shares(available, generator) * wanted
    for _ in range(TRIES):
        over = (ideal > available).any(1, keepdim=True)
        if not bool(over.any()):
            break
        ideal = torch.where(over, _shares(available, generator) * wanted, ideal)
    excess = (ideal - available).clamp_min(0).sum(1, keepdim=True)
    ideal = torch.minimum(ideal, available.double())
    room = available - ideal
    ideal = ideal + excess * room / room.sum(1, keepdim=True).clamp_min(1e-12)
    counts = torch.minimum(ideal.floor().long(), available)
    remainder = torch.where(counts < available, ideal - counts, -torch.inf)
    rank = remainder.argsort(dim=1, descending=True, stable=True).argsort(1)
    return counts + (rank < (keep - counts.sum(1))[:, None])


def draw_kept(masks: list[Tensor], share: float, generator: torch.Generator | None = None) -> list[Tensor]:
    """Draw which tokens of each patient are seen, `share` of all they have, rounded, at least one.

    Args:
        masks: `(B, T_m)` bool of each modality, on the CPU: which tokens there are.
        share: share of a patient's tokens that is seen, between 0 and 1.

    Returns:
        `(B, T_m)` bool of each modality, True only where the mask is.
    """
    available = torch.stack([mask.sum(1) for mask in masks], 1)
    total = available.sum(1)
    keep = torch.minimum((share * total).round().long().clamp_min(1), total)
    counts = dirichlet_counts(available, keep, generator)
    kept = []
    for m, mask in enumerate(masks):
        chance = torch.rand(mask.shape, generator=generator).masked_fill(~mask, torch.inf)
        kept.append(mask & (chance.argsort(1).argsort(1) < counts[:, [m]]))
    return kept


def _shares(available: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw `(B, M)` float64, uniform on the simplex of the modalities that each patient has."""
    drawn = -torch.log1p(-torch.rand(available.shape, generator=generator, dtype=torch.float64))  # exponentials
    drawn = torch.where(available > 0, drawn, 0.0)
    return drawn / drawn.sum(1, keepdim=True).clamp_min(1e-300)
