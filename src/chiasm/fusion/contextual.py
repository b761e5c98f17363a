"""Contextual fusion: a linear map of the frozen branches' concatenated features, each branch with its own weights.

Akumalla, Haney and Bazhenov, Contextual Fusion For Adversarial Robustness, arXiv 2011.09526.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from chiasm.protocols import EMBEDDING, Fused
from chiasm.tokens import Tokens


class ContextualFusion(nn.Module):
    """Linear fusion of branches: `link = b + sum_m theta_m x_m` over the modalities present, `(B, K)`.

    `x_m` is what a frozen encoder says of m: its tokens side by side where they have fixed positions, else their mean.
    The weights start at zero, so that an untrained network says nothing.

    Args:
        shapes: (width, slots) of each modality's tokens.
        outputs: K.
        dropout: dropout on the features.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], *, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.slots = [shapes[name][1] for name in self.names]
        self.branches = nn.ModuleList()
        for name in self.names:
            width, slots = shapes[name]
            branch = nn.Linear(width * max(1, slots), outputs, bias=False)
            nn.init.zeros_(branch.weight)
            self.branches.append(branch)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return the link, and as extra the features side by side; `present` is `(B, M)` bool, modalities by name."""
        features, link = [], self.bias.expand(present.shape[0], -1)
        for m, (name, slots, branch) in enumerate(zip(self.names, self.slots, self.branches, strict=True)):
            own = tokens[name].where_present(present[:, m])
            count = 1 if slots else own.mask.sum(1, keepdim=True).clamp_min(1)
            features.append(own.values.flatten(1) if slots else own.values.sum(1) / count)
            link = link + branch(self.dropout(features[-1]))
        return Fused(link, extras={EMBEDDING: torch.cat(features, 1)})

    def weight(self, modality: str) -> Tensor:
        """Return `theta_m` of a modality, `(K, F)`."""
        return cast(nn.Linear, self.branches[self.names.index(modality)]).weight
