"""Separately trained blocks that are merged at prediction, as one network whose head belongs to a patient's pattern."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.fusion.lego_block import pool
from chiasm.heads.head import Head
from chiasm.models.export.encoders import tokens_by
from chiasm.models.export.graph import Value
from chiasm.models.export.inputs import Reading
from chiasm.models.export.links import every_pattern, link_of
from chiasm.models.export.networks import Traced, examples, traced
from chiasm.protocols import Fused
from chiasm.recipes.fusion.lego_blocks import in_order, matched_widths, merged_head, restored_block
from chiasm.recipes.fusion.lego_merge import LegoMergePredictor
from chiasm.tokens import Tokens

LOGITS, MATCHED = "logits", "ot"


class MergedBlocks(nn.Module):
    """Blocks whose latents are averaged over the modalities present, and a head for each pattern of these.

    Args:
        predictor: the merged model, whose latents are real and averaged, or whose blocks' logits are.
    """

    norm_weight: Tensor
    norm_bias: Tensor
    weight: Tensor
    bias: Tensor
    share: Tensor
    places: Tensor

    def __init__(self, predictor: LegoMergePredictor) -> None:
        super().__init__()
        self.names = sorted(predictor.encoders)
        self.logits, self.width = predictor.method == LOGITS, predictor.sizes.latent_width
        blocks = [restored_block(predictor.sizes, predictor.shapes[own], predictor.blocks[own]) for own in self.names]
        self.blocks = nn.ModuleList(blocks)
        orders = matched_widths(predictor.heads) if predictor.head_method == MATCHED else {}
        self.orders = [torch.from_numpy(np.asarray(orders[own])) for own in self.names] if orders else None
        share = [predictor.weights.get(own, 1.0) for own in self.names]
        self.register_buffer("share", torch.tensor(share, dtype=torch.float32))
        self.register_buffer("places", 2 ** torch.arange(len(self.names) - 1, -1, -1))
        states = {name: in_order(head, orders[name]) if orders else head for name, head in predictor.heads.items()}
        heads = []
        for pattern in [] if self.logits else every_pattern(self.names):
            used = np.flatnonzero(pattern if pattern.any() else ~pattern)
            own = [states[self.names[m]] for m in used]
            width, weights = predictor.sizes.latent_width, [share[m] for m in used]
            heads.append(merged_head(own, width, predictor.kind, predictor.head_method, weights))
        width = predictor.sizes.latent_width
        self.alone = nn.ModuleList(
            merged_head([predictor.heads[own]], width, predictor.kind, "linear") for own in self.names
        )
        for name, part, key in (
            ("norm_weight", "norm", "weight"), ("norm_bias", "norm", "bias"),
            ("weight", "linear", "weight"), ("bias", "linear", "bias"),
        ):  # fmt: skip
            found = [getattr(getattr(head, part), key).detach() for head in heads]
            self.register_buffer(name, torch.stack(found) if found else torch.zeros(0))

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> tuple[Tensor, Fused]:
        """Return the link `(B, K)`, standardised as the blocks give it."""
        latents = [block(tokens[name], present[:, m]) for m, (name, block) in enumerate(self._named())]
        weights = present * self.share
        if self.logits:
            weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, torch.ones_like(weights))
            said = [cast(Head, head)(pool(own)) for head, own in zip(self.alone, latents, strict=True)]
            share = (weights / weights.sum(1, keepdim=True)).T[:, :, None]
            link = (torch.stack(said) * share).sum(0)
            return link, Fused(link)
        if self.orders is not None:
            latents = [own[..., order] for own, order in zip(latents, self.orders, strict=True)]
        share = (weights / weights.sum(1, keepdim=True).clamp_min(1e-12)).T[:, :, None, None]  # (M, B, 1, 1)
        stacked = torch.where(share > 0, torch.stack(latents), torch.zeros(()))
        embedding = pool((stacked * share).sum(0))  # (B, D)
        code = (present.to(torch.int64) * self.places).sum(1)
        hidden = nn.functional.layer_norm(embedding, (self.width,))
        hidden = hidden * self.norm_weight[code] + self.norm_bias[code]
        link = (self.weight[code] * hidden[:, None]).sum(2) + self.bias[code]
        return link, Fused(embedding)

    def _named(self) -> Sequence[tuple[str, nn.Module]]:
        return list(zip(self.names, self.blocks, strict=True))


@link_of.register
def _(predictor: LegoMergePredictor, reading: Reading) -> Value:
    names = sorted(predictor.encoders)
    given = list[Value]()
    for name in names:
        given += tokens_by(predictor.encoders[name], reading, name)
    present = reading.graph.concat([reading.present(name).column() for name in names])
    network = Traced(MergedBlocks(predictor), names).eval()
    link = traced(reading.graph, network, examples(predictor.shapes, names), [present, *given])
    return link.cast(np.float64) * np.atleast_2d(predictor.scale) + np.atleast_2d(predictor.centre)
