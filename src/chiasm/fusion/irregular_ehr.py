"""Irregular records with other modalities: gated series, and layers that attend within a modality and then across.

Zhang et al., Improving Medical Predictions by Irregular Multimodal Electronic Health Records Modeling, ICML 2023, arXiv
2210.12156.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.fusion.attention import TokenEntrance
from chiasm.fusion.timed import GatedSeries
from chiasm.fusion.transformer import TransformerLayer
from chiasm.protocols import Fused
from chiasm.tokens import Tokens


class IrregularEhr(nn.Module):
    """Interleaved attention of modalities in time: in each layer within each modality, then from each to all others.

    A modality with a grid becomes a series at its references (`GatedSeries`), and what its last reference has become
    stands for it; one without has its tokens, and the mean of what they have become. `e = W (z + MLP(z))` on the
    concatenation z of all, zeros for an absent modality.

    Deviations: any number of modalities, whose "other" is the union of the others; an absent one is attended to by
    nobody.

    Args:
        shapes: (width, slots) of each modality's tokens; those of a timed one are what `GatedSeries` reads.
        grids: timed modality to its reference hours, `(R,)`.
        latent_width: D, a multiple of `heads`.
        depth: number of layers.
        heads: of every attention, that over time too.
        series: see `GatedSeries`.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        grids: Mapping[str, np.ndarray],
        *,
        latent_width: int = 32,
        depth: int = 1,
        heads: int = 4,
        dropout: float = 0.0,
        series: str = "gated",
    ) -> None:
        super().__init__()
        self.names = sorted(shapes)
        self.timed = [name in grids for name in self.names]
        self.entrances = nn.ModuleList()
        for name in self.names:
            width, slots = shapes[name]
            if name in grids:
                grid = torch.from_numpy(np.array(grids[name], np.float32))
                self.entrances.append(GatedSeries(width // 3, latent_width, grid, heads, dropout, series))
            else:
                self.entrances.append(TokenEntrance(width, slots, latent_width, dropout))
        self.layers = nn.ModuleList()
        for _ in range(depth):
            parts = nn.ModuleList()
            for _name in self.names:
                pair = [TransformerLayer(latent_width, heads=heads, dropout=dropout) for _ in self.names[:2]]
                parts.append(nn.ModuleList(pair))  # within, and across where there is another
            self.layers.append(parts)
        joined = len(self.names) * latent_width
        self.norms = nn.ModuleList(nn.LayerNorm(latent_width) for _ in self.names)
        self.mix = nn.Sequential(nn.Linear(joined, joined), nn.ReLU(), nn.Dropout(dropout), nn.Linear(joined, joined))
        self.out = nn.Linear(joined, latent_width)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name.

        Raises:
            ValueError: the tokens of a timed modality have no times.
        """
        hidden, masks = [], []
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            if not self.timed[m]:
                hidden.append(self.entrances[m](own))
                masks.append(own.mask)
                continue
            if own.times is None and bool(own.mask.any()):
                raise ValueError(f"the tokens of '{name}' have no times: encode its events anew")
            times = torch.zeros_like(own.values[..., 0]) if own.times is None else own.times
            hidden.append(self.entrances[m](own.values, own.mask, times))
            masks.append(own.mask.any(1, keepdim=True).expand(-1, hidden[-1].shape[1]))
        for parts in self.layers:
            pairs = [cast(nn.ModuleList, pair) for pair in cast(nn.ModuleList, parts)]
            hidden = [pair[0](own, mask) for pair, own, mask in zip(pairs, hidden, masks, strict=True)]
            if len(hidden) > 1:
                hidden = [self._across(pairs[m][1], m, hidden, masks) for m in range(len(hidden))]
        read = []
        for m, (own, mask, norm) in enumerate(zip(hidden, masks, self.norms, strict=True)):
            count = mask.sum(1, keepdim=True).clamp_min(1)
            mean = torch.where(mask[..., None], own, torch.zeros_like(own)).sum(1) / count
            last = norm(own[:, -1] if self.timed[m] else mean)
            read.append(torch.where(present[:, [m]], last, torch.zeros_like(last)))
        joined = torch.cat(read, 1)
        return Fused(self.out(joined + self.mix(joined)))

    @staticmethod
    def _across(layer: nn.Module, m: int, hidden: list[Tensor], masks: list[Tensor]) -> Tensor:
        others = [k for k in range(len(hidden)) if k != m]
        context, mask = torch.cat([hidden[k] for k in others], 1), torch.cat([masks[k] for k in others], 1)
        return cast(TransformerLayer, layer).across(hidden[m], context, mask)
