"""Label maps by queries, one a label, those of what lies within another made from the query of what holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from chiasm.fusion.transformer import TransformerLayer
from chiasm.heads.coordinate_field import fourier, places
from chiasm.segmentation.label_tree import TOP, Parents, levels_of, tree_log_probabilities
from chiasm.segmentation.unet import GatedTrunk, convolution

BANDS = 3


class LabelQueries(nn.Module):
    """Logits of nodes by queries that read an image's lowest features: `<MLP(q), pixel features> / sqrt(D)`.

        q_v = read(e_v + W q_parent, lowest), without W q where nothing holds v

    Args:
        width, lowest: channels of the features at full size, and at the lowest step.
        axes: of the images, 2 or 3.
        parents: of each query.
        latent: D.
        heads: of attention.
        hierarchy: False: each query that lies in another reads twice, and W has its own first reading: as many
            parameters and readings, and nothing of the parent.
    """

    def __init__(
        self, width: int, lowest: int, axes: int, parents: Parents, latent: int, heads: int, *, hierarchy: bool = True
    ) -> None:
        super().__init__()
        self.parents, self.levels, self.hierarchy = parents, levels_of(parents), hierarchy
        self.queries = nn.Parameter(torch.randn(len(parents), latent) * latent**-0.5)
        self.enter = nn.Linear(lowest + 2 * axes * BANDS, latent)
        self.read = TransformerLayer(latent, heads=heads)
        self.made = nn.Linear(latent, latent) if max(self.levels) else None
        self.asked = nn.Sequential(
            nn.LayerNorm(latent), nn.Linear(latent, latent), nn.GELU(), nn.Linear(latent, latent)
        )
        self.pixels = convolution(axes)(width, latent, 1)

    def forward(self, features: Tensor, lowest: Tensor) -> Tensor:
        """Return logits `(B, Q, ...)` of features `(B, W, ...)` at full size and those at the lowest step."""
        return self.drawn(self.states(lowest), features)

    def states(self, lowest: Tensor) -> Tensor:
        """What the queries have read of features `(B, P, ...)` at the lowest step, `(B, Q, D)`."""
        where = fourier(places(lowest.shape[2:]).to(lowest), BANDS).expand(len(lowest), -1, -1)
        tokens = self.enter(torch.cat([lowest.flatten(2).transpose(1, 2), where], 2))  # (B, S, D)
        every = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
        states: list[Tensor] = [tokens[:, 0]] * len(self.parents)
        for level in range(max(self.levels) + 1):
            here = [node for node, own in enumerate(self.levels) if own == level]
            begun = self.queries[here].expand(len(tokens), -1, -1)
            if level and self.made is not None:
                if self.hierarchy:
                    above = torch.stack([states[self.parents[node]] for node in here], 1)
                else:
                    above = self.read.across(begun, tokens, every)
                begun = begun + self.made(above)
            read = self.read.across(begun, tokens, every)
            for place, node in enumerate(here):
                states[node] = read[:, place]
        return torch.stack(states, 1)

    def drawn(self, states: Tensor, features: Tensor) -> Tensor:
        """Logits `(B, Q, ...)` of what queries `(B, Q, D)` have read at features `(B, W, ...)` at full size."""
        asked: Tensor = self.asked(states)
        pixels: Tensor = self.pixels(features).flatten(2)
        logits = torch.bmm(asked, pixels) / math.sqrt(asked.shape[2])
        return logits.view(*asked.shape[:2], *features.shape[2:])


class Queried(nn.Module):
    """Label maps by a U-Net's features and `LabelQueries`, as logarithms of probabilities along the tree of labels.

    Source: Chen and others, CancerUniT (ICCV 2023, arXiv 2301.12291): queries of organs, of tumours and of what kind
    of tumour it is, each made from the one above. No label's probability exceeds that of what holds it.

    Args:
        channels: contrast to its number of channels.
        axes: of the images, 2 or 3.
        labels: K.
        parents: of the labels, and of nodes that are none behind them.
        width, depth: as in `GatedTrunk`.
        latent, heads: of the queries.
        hierarchy: False: one softmax over all labels, and queries that read nothing of each other.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        axes: int,
        labels: int,
        parents: Parents,
        *,
        width: int,
        depth: int,
        latent: int,
        heads: int,
        hierarchy: bool = True,
    ) -> None:
        super().__init__()
        self.names, self.labels = sorted(channels), labels
        self.parents = parents
        self.tree = parents if hierarchy else (TOP,) * labels
        self.trunk = GatedTrunk(channels, axes, width, depth)
        self.queries = LabelQueries(width, width * 2**depth, axes, parents, latent, heads, hierarchy=hierarchy)

    def probabilities(self, images: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of the probabilities of codes `(B, K + 1, ...)` and of lying within each node `(B, n, ...)`."""
        logits = self.queries(*self.trunk.features(images, present))
        return tree_log_probabilities(logits[:, : len(self.tree)], self.tree, self.labels)

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return logarithms of probabilities `(B, K + 1, ...)`, the first of no label.

        Args:
            images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
            present: `(B, M)` bool, contrasts sorted by name, at least one for each image.
        """
        return self.probabilities(images, present)[0]
