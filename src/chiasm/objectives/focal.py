"""Focal loss: down-weights samples or tasks that are already predicted well."""

from __future__ import annotations

import torch
from torch import Tensor


def focal(losses: Tensor, known: Tensor, gamma: float, *, by: str) -> Tensor:
    """Compute focal losses `(1 - p)^γ l`, `(B, K)`, from log losses `l = -log p`; 0 where not known.

    By "sample", `1 - p` is that of the cell; by "task", the mean over the known cells of its column, one weight per
    task. `γ = 0` leaves the losses unchanged.

    Args:
        losses: `(B, K)` log losses, at least 0, of K tasks; any value, also NaN, where not known.
        known: `(B, K)` bool.
        gamma: γ, at least 0.
        by: "sample" or "task".

    Raises:
        ValueError: an unknown `by`, a γ that is negative or not finite, or differing shapes.

    Source: Lin et al., ICCV 2017, arXiv 1708.02002; MFTCoder, arXiv 2311.02303, for both ways over tasks.
    """
    if by not in ("sample", "task") or not 0.0 <= gamma < float("inf"):
        raise ValueError("focal losses are by sample or by task, with a gamma of at least 0")
    if losses.shape != known.shape or losses.ndim != 2:
        raise ValueError(f"losses {(*losses.shape,)} and known {(*known.shape,)} do not fit")
    safe = torch.where(known, losses, 0.0)
    missed = -torch.expm1(-safe)  # (B, K), 1 - p without cancellation
    if by == "task":
        missed = missed.sum(0) / known.sum(0).clamp_min(1)  # (K,); unknown cells contribute 0
    # a power below 1 has an infinite slope at 0, where the loss is 0 anyway
    return missed.clamp_min(torch.finfo(safe.dtype).tiny) ** gamma * safe
