"""Masks that sparsify task vectors: keep the largest entries, those below the largest, or random ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

State = Mapping[str, Tensor]
Mask = Callable[[Tensor], Tensor]
GRANULARITIES = ("tensor", "row", "model")


def kept(vector: State, mask: Mask, granularity: str = "tensor") -> dict[str, Tensor]:
    """Apply a mask to a task vector: entries where it is False become zero.

    Args:
        mask: maps magnitudes `(R, P)` to bool `(R, P)`, row by row.
        granularity: what forms one row: a whole `tensor`; a `row` of it, along its last axis; or the whole `model`.
    """
    if granularity == "model":
        sizes = torch.cat([value.abs().reshape(-1) for value in vector.values()])[None]
        parts = torch.split(mask(sizes)[0], [value.numel() for value in vector.values()])
        return {
            key: torch.where(part.reshape(value.shape), value, 0.0)
            for (key, value), part in zip(vector.items(), parts, strict=True)
        }
    out = {}
    for key, value in vector.items():
        rows = value.shape[-1] if granularity == "row" and value.dim() else value.numel()
        chosen = mask(value.abs().reshape(-1, rows)) if value.numel() else torch.ones_like(value, dtype=torch.bool)
        out[key] = torch.where(chosen.reshape(value.shape), value, 0.0)
    return out


def count_of(share: float, entries: int) -> int:
    """Convert a share of entries to a count, rounded down; 0.29 of 100 gives 29, despite 28.999999999999996."""
    return math.floor(share * entries + 1e-9)


def largest(density: float) -> Mask:
    """Create a mask that keeps the share `density` of largest magnitude; of equal ones, the first."""
    return below_largest(0.0, density)


def below_largest(outliers: float, density: float) -> Mask:
    """Create a mask that drops the share `outliers` of largest magnitude and keeps the next share `density` of all.

    It counts down from the largest, so no slice ends at `-0`: mergekit's `indices[n_bot:-n_top]` is empty at
    `n_top = 0`, as occurs without outliers or for small tensors.
    """

    def mask(sizes: Tensor) -> Tensor:
        top, keep = count_of(outliers, sizes.shape[1]), count_of(density, sizes.shape[1])
        order = sizes.sort(dim=1, descending=True, stable=True).indices[:, top : top + keep]
        return torch.zeros_like(sizes, dtype=torch.bool).scatter(1, order, True)

    return mask


def random(vector: State, density: float, seed: int) -> dict[str, Tensor]:
    """Keep each entry with probability `density`, and set the others to zero.

    Each tensor's generator is seeded by `seed`, its name and its values, so that neither the order of the models nor
    that of their tensors changes the mask; identical models get the same mask.
    """
    out = {}
    for key, value in vector.items():
        digest = hashlib.sha256(f"{seed}:{key}:".encode())
        digest.update((value + 0.0).cpu().contiguous().numpy().tobytes())  # makes -0 equal to 0
        generator = torch.Generator().manual_seed(int.from_bytes(digest.digest()[:7], "big"))
        draw = torch.rand(value.shape, generator=generator, dtype=torch.float64)
        out[key] = torch.where(draw.to(value.device) < density, value, 0.0)
    return out
