"""Concatenation: one branch a modality, their outputs side by side, and one layer on all of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.pooled import masked_mean
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

ALONE = "alone "  # before a modality's name: the link of its own head
REBUILT = "rebuilt "  # the same: its values, as its branch rebuilds them


class Concatenated(nn.Module):
    """Early fusion: `e = gelu(W [h_1; ...; h_M] + b)`, where `h_m = gelu(V_m mean_t LN(W_mt x_mt + b_mt) + c_m)`.

    `h_m` is zero where m is absent. The fusion layer W is `fuse`; a branch is `entrances[m]` and `branches[m]`.

    Args:
        shapes: (width, slots) of each modality's tokens.
        latent_width: D of a branch and of the embedding.
        dropout: dropout on the tokens and on the embedding.
        outputs: K of the heads that read one branch each, 0: none; extras "alone <modality>" are their links, `(B, K)`.
        rebuilds: give each branch a linear map back to its modality's values, of which a bag has one, the mean token:
            extras "rebuilt <modality>", `(B, max(slots, 1), width)`, in training only.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        latent_width: int,
        dropout: float = 0.0,
        *,
        outputs: int = 0,
        rebuilds: bool = False,
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.shapes = [(shapes[name][0], max(shapes[name][1], 1)) for name in self.names]
        self.entrances = nn.ModuleList(TokenEntrance(*shapes[name], latent_width, dropout) for name in self.names)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(latent_width, latent_width), nn.GELU()) for _ in self.names
        )
        self.fuse = nn.Linear(len(self.names) * latent_width, latent_width)
        self.dropout = nn.Dropout(dropout)
        # What is left out leaves the initial values of the rest as they are.
        self.alone = nn.ModuleList(nn.Linear(latent_width, outputs) for _ in self.names if outputs)
        self.rebuild = nn.ModuleList(
            nn.Linear(latent_width, width * slots) for width, slots in self.shapes if rebuilds
        )  # fmt: skip

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        parts = []
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            hidden = self.entrances[m](own)  # (B, T, D)
            parts.append(self.branches[m](masked_mean(hidden, own.mask)) * present[:, [m]])  # (B, D)
        embedding = self.dropout(nn.functional.gelu(self.fuse(torch.cat(parts, 1))))
        extras = {f"{ALONE}{name}": head(part) for name, head, part in zip(self.names, self.alone, parts, strict=False)}
        if self.training:
            for name, back, part, shape in zip(self.names, self.rebuild, parts, self.shapes, strict=False):
                extras[f"{REBUILT}{name}"] = back(part).reshape(-1, shape[1], shape[0])
        return Fused(embedding, extras=extras)
