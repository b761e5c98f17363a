"""SSMA: streams of one modality each, whose concatenated channels gate themselves before they are mapped to one.

Valada, Mohan and Burgard, Self-Supervised Model Adaptation for Multimodal Semantic Segmentation, IJCV 2019, arXiv
1808.03833.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import CrossAttention, TokenEntrance
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

STREAM = "stream "
GATE = "gate "


class GatedBottleneck(nn.Module):
    """Gated concatenation: `y = W_3 (x * s) + b`, `s = sigmoid(W_2 relu(W_1 x + b_1) + b_2)`, C channels to D.

    `W_1` narrows to `max(1, C // eta)` channels. With `s = 1` it is a linear map of the concatenation.

    Args:
        channels: C, of all modalities together.
        width: D of the output.
        eta: how much narrower the bottleneck is than C.
    """

    def __init__(self, channels: int, width: int, eta: int) -> None:
        super().__init__()
        narrow = max(1, channels // eta)
        self.gate = nn.Sequential(nn.Linear(channels, narrow), nn.ReLU(), nn.Linear(narrow, channels), nn.Sigmoid())
        self.map = nn.Linear(channels, width)

    def forward(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """Map channels `(..., C)` to `(..., D)`; also return the gate `(..., C)`."""
        gate = self.gate(joined)
        return self.map(joined * gate), gate


class Stream(nn.Module):
    """One modality's tokens read into L latents, `z = LN(q + A(q, h(x)))`, of learned queries q: `(B, L, D)`.

    A is the cross-attention of MM-Lego (`fusion.attention`), in heads of width 8, and h its entrance of tokens.
    """

    def __init__(self, width: int, slots: int, *, latents: int, latent_width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.entrance = TokenEntrance(width, slots, latent_width, dropout)
        self.queries = nn.Parameter(torch.randn(latents, latent_width))
        self.attention = CrossAttention(latent_width, latent_width, heads=heads, head_width=8)
        self.norm = nn.LayerNorm(latent_width)

    def forward(self, tokens: Tokens) -> Tensor:
        """Read the tokens; a patient without any gets a value that the caller discards."""
        queries = self.queries.expand(tokens.values.shape[0], -1, -1)
        return self.norm(queries + self.attention(queries, self.entrance(tokens), tokens.mask))  # type: ignore[no-any-return]


class Ssma(nn.Module):
    """Self-supervised model adaptation on tokens: `e = mean over L of gated([z_1; ...; z_M])`.

    The streams give every modality the same L places, which is what the feature maps of two registered cameras have by
    nature; the gate acts in each place on the channels of all modalities. An absent modality's channels are zeros.
    Extras: `stream m`, the mean of `z_m` over L, `(B, D)`, NaN where m is absent; `gate m`, the mean of its gate,
    `(B,)`, NaN in the same places.

    Deviations: one fusion at the end, where the paper has two more at skips of its decoder, with losses at several
    resolutions; maps of single places, where the paper convolves over 3 x 3; no batch norm after the map, because the
    head normalises and a forward pass may change no state.

    Args:
        shapes: (width, slots) of each modality's tokens.
        latents, latent_width: L and D.
        eta: see `GatedBottleneck`.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        latents: int = 16,
        latent_width: int = 32,
        heads: int = 4,
        eta: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.streams = nn.ModuleList(
            Stream(*shapes[name], latents=latents, latent_width=latent_width, heads=heads, dropout=dropout)
            for name in self.names
        )
        self.bottleneck = GatedBottleneck(len(self.names) * latent_width, latent_width, eta)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        parts, extras = [], {}
        for m, (name, stream) in enumerate(zip(self.names, self.streams, strict=True)):
            here = present[:, m, None, None]
            read = stream(tokens[name].where_present(present[:, m]))
            parts.append(torch.where(here, read, torch.zeros_like(read)))
            extras[STREAM + name] = torch.where(present[:, [m]], read.mean(1), torch.nan)
        fused, gate = self.bottleneck(torch.cat(parts, -1))  # (B, L, D), (B, L, M D)
        for m, (name, own) in enumerate(zip(self.names, gate.chunk(len(self.names), -1), strict=True)):
            extras[GATE + name] = torch.where(present[:, m], own.mean((1, 2)), torch.nan)
        return Fused(fused.mean(1), extras=extras)
