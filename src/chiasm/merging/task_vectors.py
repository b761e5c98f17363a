"""Task vectors (differences to a base) and their two sums: over all models, and over those that agree on a sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from chiasm.merging.tensors import shares

State = Mapping[str, Tensor]
_CANCELLED = 1e-12  # fraction of the mass below which a sum has no sign, so that rounding does not choose one


def task_vector(model: State, base: State) -> dict[str, Tensor]:
    """Compute `tau = theta - theta_0`, exactly zero where they agree (Ilharco et al., ICLR 2023, arXiv 2212.04089)."""
    return {key: torch.where(model[key] == own, torch.zeros_like(own), model[key] - own) for key, own in base.items()}


def added(base: State, vector: State, scale: float) -> dict[str, Tensor]:
    """Add a vector to the base: `theta_0 + scale tau`."""
    return {key: own + scale * vector[key] for key, own in base.items()}


def summed(vectors: Sequence[State], weights: Sequence[float], normalize: bool) -> dict[str, Tensor]:
    """Sum task vectors, `sum_i w_i tau_i`, divided by `sum_i w_i` if `normalize`."""
    share = shares(weights).tolist() if normalize else weights
    out = {}
    for key in vectors[0]:
        value = torch.zeros_like(vectors[0][key])
        for vector, weight in zip(vectors, share, strict=True):
            value += vector[key] * weight
        out[key] = value
    return out


def agreed(vectors: Sequence[State], weights: Sequence[float], normalize: bool) -> dict[str, Tensor]:
    """Sum, entry by entry, the weighted vectors whose sign is that of `sum_i w_i tau_i`, the sign with most mass.

    The sum is divided by the sum of their weights if `normalize`. Where the mass cancels, no sign is elected and the
    entry is zero.
    """
    out = {}
    for key in vectors[0]:
        stacked = torch.stack([vector[key] for vector in vectors])  # (N, ...)
        share = torch.tensor(list(weights), dtype=stacked.dtype).reshape(-1, *[1] * (stacked.dim() - 1))
        weighted = stacked * share
        total, mass = weighted.sum(0), weighted.abs().sum(0)
        sign = torch.where(total.abs() > _CANCELLED * mass, total.sign(), torch.zeros_like(total))
        agree = (stacked.sign() == sign) & (sign != 0)
        value = torch.where(agree, weighted, 0.0).sum(0)
        if normalize:
            among = torch.where(agree, share, 0.0).sum(0)
            value = torch.where(among > 0, value / torch.where(among > 0, among, 1.0), 0.0)
        out[key] = value
    return out
