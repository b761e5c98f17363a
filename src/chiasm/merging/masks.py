"""Which entries of a task vector are kept: the largest, those below the largest, or random ones; exact counts."""

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
    """The vector with zeros where `mask` says so.

    Args:
        mask: sizes `(R, P)` to bool `(R, P)`, each row by itself.
        granularity: what counts as one row: a whole `tensor`; a `row` of it, along its last axis; or the whole `model`.
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
    """How many entries a share of them is: rounded down, but 0.29 of 100 is 29, which is 28.999999999999996."""
    return math.floor(share * entries + 1e-9)


def largest(density: float) -> Mask:
    """The `density` of largest size; of equal ones the first."""
    return below_largest(0.0, density)


def below_largest(outliers: float, density: float) -> Mask:
    """The `density` of largest size once the `outliers`, a share of all entries too, are set aside.

    It counts from the largest on, so no slice ends at `-0`: mergekit's `indices[n_bot:-n_top]` is empty at `n_top = 0`,
    which is what no outliers, or a tensor of few entries, give.
    """

    def mask(sizes: Tensor) -> Tensor:
        top, keep = count_of(outliers, sizes.shape[1]), count_of(density, sizes.shape[1])
        order = sizes.sort(dim=1, descending=True, stable=True).indices[:, top : top + keep]
        return torch.zeros_like(sizes, dtype=torch.bool).scatter(1, order, True)

    return mask


def random(vector: State, density: float, seed: int) -> dict[str, Tensor]:
    """Each entry is kept with probability `density`.

    The generator of a tensor is seeded by `seed`, its name and what it holds, so that neither the order of the models
    nor that of their tensors changes what is kept; two models that are one keep the same.
    """
    out = {}
    for key, value in vector.items():
        digest = hashlib.sha256(f"{seed}:{key}:".encode())
        digest.update((value + 0.0).cpu().contiguous().numpy().tobytes())  # -0 and 0 are one
        generator = torch.Generator().manual_seed(int.from_bytes(digest.digest()[:7], "big"))
        draw = torch.rand(value.shape, generator=generator, dtype=torch.float64)
        out[key] = torch.where(draw.to(value.device) < density, value, 0.0)
    return out
