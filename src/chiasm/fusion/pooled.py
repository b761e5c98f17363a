"""Mean-pooling fusion: the mean of each modality's tokens, a linear map per modality, the mean over those present."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from chiasm.protocols import Fused
from chiasm.tokens import Tokens


class PooledMean(nn.Module):
    """Mean-pooling fusion: `e = mean over present m of W_m LN(mean of tokens of m) + b_m`, zeros if none is present.

    With a linear head on one modality it is a linear probe, so that any gain over it is due to the adapter. Of a
    modality in `columns` W_m reads all tokens side by side: their mean would mix its columns, and the norm of a token
    of one number is nothing.

    Args:
        shapes: (width, slots) of each modality's tokens.
        latent_width: D of the embedding.
        dropout: dropout on the embedding.
        columns: modalities whose tokens are columns, each in its place.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        latent_width: int,
        dropout: float = 0.0,
        columns: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.names, self.columns = sorted(shapes), frozenset(columns)
        self.maps = nn.ModuleList(
            nn.Linear(math.prod(shapes[name]), latent_width)
            if name in self.columns
            else nn.Sequential(nn.LayerNorm(shapes[name][0]), nn.Linear(shapes[name][0], latent_width))
            for name in self.names
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the present modalities; `present` is `(B, M)` bool, modalities sorted by name."""
        parts = []
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            read = side_by_side(own) if name in self.columns else masked_mean(own.values, own.mask)
            parts.append(self.maps[m](read))  # (B, D)
        here = present.to(parts[0].dtype)[..., None]  # (B, M, 1)
        whole = (torch.stack(parts, 1) * here).sum(1) / here.sum(1).clamp_min(1)
        return Fused(self.dropout(whole))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the tokens of `(B, T, D)` where `mask` `(B, T)` is True, `(B, D)`; zeros without one."""
    values = torch.where(mask[..., None], values, torch.zeros((), dtype=values.dtype, device=values.device))
    return values.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)


def side_by_side(tokens: Tokens) -> Tensor:
    """Return all tokens of each patient as one vector, `(B, T D)`; zeros where the mask is False."""
    return torch.where(tokens.mask[..., None], tokens.values, torch.zeros_like(tokens.values)).flatten(1)


def one_vector(tokens: Tokens, width: int, columns: bool = False) -> Tensor:
    """Return the mean token of each patient, filled with zeros to `(B, width)`; zeros without a token.

    Args:
        columns: take all tokens side by side instead, since they are columns, each in its place.
    """
    own = side_by_side(tokens) if columns else masked_mean(tokens.values, tokens.mask)
    return nn.functional.pad(own, (0, width - own.shape[1]))
