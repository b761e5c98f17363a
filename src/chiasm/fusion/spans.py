"""Tokens of several modalities as one sequence whose positions mean something: absent ones leave no gap in it."""

from __future__ import annotations

import torch
from torch import Tensor


def packed_left(hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Move what is read to the front, in its order, so that a span that is absent leaves no gap of positions.

    Args:
        hidden: `(B, T, D)`.
        mask: `(B, T)` bool, at least one True in all.

    Returns:
        `(B, t, D)`, zeros behind each patient's own, and their mask `(B, t)`; t is the longest.
    """
    longest = mask.shape[1]
    place = torch.where(mask, mask.long().cumsum(1) - 1, longest)  # what is not read goes behind all, and is cut off
    moved = hidden.new_zeros(hidden.shape[0], longest + 1, hidden.shape[2])
    moved = moved.scatter(1, place[..., None].expand(-1, -1, hidden.shape[2]), hidden)
    kept = torch.arange(longest, device=mask.device) < mask.sum(1, keepdim=True)
    if not torch.onnx.is_in_onnx_export():  # there the length of one batch would be that of all
        longest = int(mask.sum(1).max())
    return moved[:, :longest], kept[:, :longest]


def mean_token(hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of a bag, whose tokens have no order, as one token: `(B, 1, D)`, and its mask `(B, 1)`.

    Args:
        hidden, mask: `(B, T, D)` and `(B, T)` bool; zeros for who has no token.
    """
    count = mask.sum(1, keepdim=True)
    total = torch.where(mask[..., None], hidden, 0.0).sum(1, keepdim=True)
    return total / count.clamp(min=1)[..., None], count > 0
