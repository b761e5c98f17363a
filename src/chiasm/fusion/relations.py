"""Attention between tokens of different types, with a learned bias for each pair of types."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Relations(nn.Module):
    """Multi-head attention `softmax(Q K' / sqrt(E) + b[type of query, type of key]) V`, then a linear map.

    One bias for each head and ordered pair of types, zero at first; where all are zero it is plain attention. A query
    that may read nothing gets zero.

    Args:
        width: D of queries and keys.
        heads: number of heads; E is D / heads, rounded up.
        types: number of types.
        typed: False leaves the biases out.
    """

    def __init__(self, width: int, *, heads: int, types: int, typed: bool = True) -> None:
        super().__init__()
        inner = heads * math.ceil(width / heads)
        self.heads, self.scale = heads, 1 / math.sqrt(inner / heads)
        self.norm, self.key_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width)
        self.bias = nn.Parameter(torch.zeros(heads, types, types)) if typed else None

    def forward(self, queries: Tensor, keys: Tensor, readable: Tensor, types: Tensor, key_types: Tensor) -> Tensor:
        """Return the update of the queries, `(B, S, D)`.

        Args:
            queries, keys: `(B, S, D)` and `(B, T, D)`; what is not readable is finite.
            readable: `(B, S, T)` or `(B, 1, T)` bool, which keys a query reads.
            types, key_types: `(S,)` and `(T,)` int64.
        """
        query = (self.query(self.norm(queries)) * self.scale).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        both = self.key_value(self.key_norm(keys)).unflatten(-1, (2, self.heads, -1))
        key, value = both.permute(2, 0, 3, 1, 4)  # (B, H, T, E)
        scores = query @ key.transpose(-1, -2)  # (B, H, S, T)
        if self.bias is not None:
            # Not by indexing, whose gradient threads may add up in any order.
            pairs = types[:, None] * self.bias.shape[2] + key_types  # (S, T)
            scores = scores + nn.functional.embedding(pairs, self.bias.flatten(1).T).permute(2, 0, 1)
        some = readable.any(2, keepdim=True)
        scores = scores.masked_fill(~(readable | ~some)[:, None], -torch.inf)
        read = self.out((torch.softmax(scores, -1) @ value).transpose(1, 2).flatten(2))
        return torch.where(some, read, torch.zeros((), dtype=read.dtype))
