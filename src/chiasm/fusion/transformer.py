"""Transformer layers on masked tokens: attention of a patient's tokens on each other, or on a context."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TransformerLayer(nn.Module):
    """Pre-norm transformer layer: `x <- x + A(LN x, LN c)`, then `x <- x + W_2 gelu(W_1 LN x)`.

    `A` is `softmax(Q K' / sqrt(E)) V` in `heads` heads, then a linear map; `c` is x itself, or the context, under the
    same norm. A masked
    token is never attended to; its own place is computed and means nothing.

    Source: Vaswani et al., NeurIPS 2017, section 3; the norms come first, as in ViT (ICLR 2021).

    Args:
        width: D, a multiple of `heads`.
        heads: number of attention heads.
        dropout: dropout on both updates.
        expansion: width of the hidden layer in units of D.
    """

    def __init__(self, width: int, *, heads: int, dropout: float = 0.0, expansion: int = 2) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.read_norm, self.norm = (nn.LayerNorm(width) for _ in range(2))
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.forward_layer = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Let the tokens `(B, T, D)` attend to each other where `mask` `(B, T)` is True; return `(B, T, D)`."""
        normed = self.read_norm(hidden)
        return self._updated(hidden, normed, normed, mask)

    def across(self, hidden: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Let the tokens `(B, T, D)` attend to a context `(B, S, D)` where its `mask` `(B, S)` is True.

        A patient without any token in the context is returned as it was.
        """
        changed = self._updated(hidden, self.read_norm(hidden), self.read_norm(context), mask)
        return torch.where(mask.any(1)[:, None, None], changed, hidden)

    def _updated(self, hidden: Tensor, query: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        hidden = hidden + self.dropout(self.out(self._attended(query, context, mask)))
        return hidden + self.dropout(self.forward_layer(self.norm(hidden)))  # type: ignore[no-any-return]

    def _attended(self, query: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        split = [self.query(query), *self.key_value(context).chunk(2, -1)]
        queries, keys, values = (own.unflatten(-1, (self.heads, -1)).transpose(1, 2) for own in split)  # (B, H, T, E)
        readable = None
        if not bool(mask.all()):
            readable = (mask | ~mask.any(1, keepdim=True))[:, None, None, :]  # an empty row attends to zeros: finite
        attended = nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=readable)
        return attended.transpose(1, 2).flatten(2)


def check_heads(width: int, heads: int) -> None:
    """Refuse a number of heads that does not divide the width.

    Raises:
        ValueError: `width` is no multiple of `heads`.
    """
    if width % heads:
        raise ValueError(f"latent_width={width} is no multiple of heads={heads}: choose one that is")


class ClassReader(nn.Module):
    """Transformer with a class token: tokens `(B, T, D)` to what the class token, `(B, D)`, and they have become.

    Args:
        width: D.
        depth: number of layers, then a layer norm.
        heads, dropout: as in `TransformerLayer`.
    """

    def __init__(self, width: int, depth: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(width) * 0.02)
        self.layers = nn.ModuleList(TransformerLayer(width, heads=heads, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Read the tokens where `mask` `(B, T)` is True; return the class token and all tokens."""
        hidden = torch.cat([self.token.expand(hidden.shape[0], 1, -1), hidden], 1)
        mask = torch.cat([mask.new_ones(mask.shape[0], 1), mask], 1)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        hidden = self.norm(hidden)
        return hidden[:, 0], hidden[:, 1:]
