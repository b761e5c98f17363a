"""HEALNet: one shared latent attends to every present modality in turn, layer by layer.

Hemker, Simidjievski, Jamnik: HEALNet, NeurIPS 2024, arXiv 2311.09115. `S <- S + CrossAttn_m(S, X_m); S <- S + FF(S)`
for each present modality m, in each layer. An absent modality is skipped: exactly the model without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import CrossAttention, FeedForward, TokenEntrance
from chiasm.protocols import Fused
from chiasm.tokens import Tokens


class HealNet(nn.Module):
    """Iterative latent fusion over the modalities in the order of their names, on which the result depends.

    Deviations: positions of tokens are learned in their projection, not given by a Fourier code; `tied` shares the
    weights of all layers after the first (the released flag does the opposite of what it says).

    Args:
        shapes: (width, slots) of each modality's tokens.
        latents, latent_width: L and D of the shared latent.
        depth: number of layers.
        tied: share one set of weights between the layers after the first.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        *,
        latents: int = 16,
        latent_width: int = 64,
        depth: int = 2,
        heads: int = 4,
        head_width: int = 8,
        dropout: float = 0.1,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.depth, self.tied = depth, tied
        self.latent = nn.Parameter(torch.randn(latents, latent_width))
        # Module lists in the order of the names, because names may contain a dot.
        self.entrances = nn.ModuleList(TokenEntrance(*shapes[name], latent_width, dropout) for name in self.names)
        self.layers = nn.ModuleList()
        for _ in range(min(depth, 2) if tied else depth):
            layer = nn.ModuleList()
            for _name in self.names:
                attention = CrossAttention(latent_width, latent_width, heads=heads, head_width=head_width)
                layer.append(nn.ModuleList([attention, FeedForward(latent_width)]))
            self.layers.append(layer)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the present modalities; `present` is `(B, M)` bool, modalities sorted by name."""
        here = [present[:, m] for m in range(len(self.names))]
        own = [tokens[name].where_present(given) for name, given in zip(self.names, here, strict=True)]
        context = [entrance(tokens) for entrance, tokens in zip(self.entrances, own, strict=True)]
        state = self.latent.expand(present.shape[0], -1, -1)  # (B, L, D)
        for depth in range(self.depth):
            layer = cast(nn.ModuleList, self.layers[min(depth, len(self.layers) - 1)])
            for m, parts in enumerate(layer):
                attention, feed_forward = cast(nn.ModuleList, parts)
                read = state + attention(state, context[m], own[m].mask)
                state = torch.where(here[m][:, None, None], read + feed_forward(read), state)
        return Fused(state.mean(1))
