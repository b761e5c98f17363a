"""Retention of what one modality says alone: hidden latents predicted from the visible ones (arXiv 2503.00374)."""

from __future__ import annotations

import torch
from torch import Tensor


def hidden_tokens(mask: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw which tokens are visible and which are to be predicted: two `(B, T)` bool.

    Of n real tokens `ceil((1 - share) n)` stay visible, at least one, and at most n - 1: where there are two or more,
    at least one is hidden. A patient's only token is visible and predicted.

    Args:
        mask: `(B, T)` bool, the real tokens.
        share: share that is hidden, above 0 and below 1; 0.75 in the paper.
        generator: draws on the CPU.
    """
    drawn = torch.rand(mask.shape, generator=generator).to(mask.device).masked_fill(~mask, torch.inf)
    rank, count = drawn.argsort(1).argsort(1), mask.sum(1, keepdim=True)
    kept = torch.minimum(torch.ceil((1 - share) * count), count - 1).clamp_min(1)
    hidden = mask & (rank >= kept)
    visible = mask & ~hidden
    return visible, torch.where(count > 1, hidden, mask)


def masked_reconstruction(found: Tensor, latents: Tensor, hidden: Tensor, *, detach: bool = True) -> Tensor:
    """Mean over the patients with a hidden token of the mean squared error of these; zero if there is none.

    Args:
        found, latents: `(B, T, D)`, predicted and true latents.
        hidden: `(B, T)` bool, the tokens that are compared.
        detach: stop the gradient through the true latents; with it they can become easy to predict by becoming equal.
    """
    wanted = latents.detach() if detach else latents
    errors = (found - wanted).square().mean(2)  # (B, T)
    errors = torch.where(hidden, errors, torch.zeros_like(errors))
    some = hidden.any(1)
    each = errors.sum(1) / hidden.sum(1).clamp_min(1)
    return each.sum() / some.sum().clamp_min(1)


def spread(latents: Tensor, mask: Tensor) -> float:
    """Mean over the entries of the standard deviation over patients of their mean latent; near zero in a collapse.

    Args:
        latents: `(B, T, D)`.
        mask: `(B, T)` bool; patients without a token are left out.
    """
    rows = mask.any(1)
    mean = (latents * mask[..., None]).sum(1)[rows] / mask.sum(1, keepdim=True)[rows]
    return float(mean.detach().std(0, correction=0).mean()) if len(mean) else 0.0
