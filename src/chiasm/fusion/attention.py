"""Building blocks of attention fusions: token projection, cross-attention of latents, gated feed-forward layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from chiasm.tokens import Tokens


class TokenEntrance(nn.Module):
    """Linear projection of one modality's tokens to the width of the latents, with layer norm and dropout.

    Tokens with fixed positions (`slots > 0`) each have their own linear map, `h_t = W_t x_t + b_t`; tokens of a bag
    share one, `h = W x + b`, so that their order cannot matter.

    Args:
        width: D of the encoder's tokens.
        slots: number of tokens with fixed positions, 0 for a bag.
        out: D of the output.
        dropout: dropout on the output, the only one of a block (here the fewest numbers have to be drawn).
    """

    def __init__(self, width: int, slots: int, out: int, dropout: float = 0.0) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(width, 1))
        rows = max(slots, 1)
        self.slots = slots
        self.weight = nn.Parameter(torch.empty(rows, width, out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(rows, out).uniform_(-bound, bound))
        self.norm = nn.Sequential(nn.LayerNorm(out), nn.Dropout(dropout))

    def forward(self, tokens: Tokens) -> Tensor:
        """Project tokens `(B, T, width)` to `(B, T, out)`."""
        if self.slots:
            if tokens.values.shape[1] != self.slots:
                raise ValueError(f"{self.slots} tokens at fit and {tokens.values.shape[1]} now")
            hidden = torch.einsum("btw,two->bto", tokens.values, self.weight) + self.bias
        else:
            hidden = tokens.values @ self.weight[0] + self.bias[0]
        return self.norm(hidden)  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """Multi-head attention of latents on tokens, `softmax(Q K' / (sqrt(E) tau)) V`, then a linear map and LeakyReLU.

    Source: MM-Lego, arXiv 2405.19950.

    Args:
        query_width: D of the latents.
        token_width: D of the tokens.
        heads: the number of heads.
        head_width: E, the width of a head.
        temperature: tau; values below one sharpen the attention.
    """

    def __init__(
        self, query_width: int, token_width: int, *, heads: int, head_width: int, temperature: float = 0.5
    ) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.scale = 1 / (math.sqrt(head_width) * temperature)
        self.norm = nn.LayerNorm(query_width)
        self.query = nn.Linear(query_width, inner, bias=False)
        self.key_value = nn.Linear(token_width, 2 * inner, bias=False)
        self.out = nn.Sequential(nn.Linear(inner, query_width), nn.LeakyReLU(0.01))

    def forward(self, latents: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Compute the update of the latents, `(B, L, D)`; the caller discards patients without a token in `mask`."""
        query = (self.query(self.norm(latents)) * self.scale).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(tokens).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, T, E)
        # Written out, because at this size two small matrix products take a quarter of the time of the fused kernel.
        scores = query @ key.transpose(-1, -2)  # (B, H, L, T), of queries (B, H, L, E)
        if not bool(mask.all()):
            hidden = ~mask & mask.any(1, keepdim=True)  # an empty row attends to zeros: finite, and discarded
            if bool(hidden.any()):  # of tokens with fixed positions none is, whoever lacks the modality
                scores = scores.masked_fill(hidden[:, None, None, :], -torch.inf)
        attended = torch.softmax(scores, -1) @ value
        return self.out(attended.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """SELU-gated feed-forward layer of MM-Lego and HEALNet: `W_2 (a * selu(g))` with `[a, g] = W_1 LN(x)`."""

    def __init__(self, width: int, *, expansion: int = 1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 2 * expansion * width)
        self.narrow = nn.Linear(expansion * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map `(B, L, D)` to an update `(B, L, D)`, to be added to the input."""
        value, gate = self.widen(self.norm(hidden)).chunk(2, -1)
        return self.narrow(value * nn.functional.selu(gate))  # type: ignore[no-any-return]
