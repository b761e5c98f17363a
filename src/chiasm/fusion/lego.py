"""LegoFuse: fine-tuned fusion of separately trained blocks (arXiv 2405.19950), in contrast to LegoMerge.

Merging needs no paired patients and no training: the latents of the present blocks are averaged. Fusing passes one
latent through the blocks, so that a later block depends on the output of an earlier one; it is fine-tuned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn

from chiasm.fusion.lego_block import LegoBlock, pool
from chiasm.protocols import Fused
from chiasm.tokens import Tokens

Mode = Literal["stack", "weave", "merge"]


class LegoFuse(nn.Module):
    """Fusion by one latent, initially the mean of the blocks' learned latents, that passes through every present block.

    - `stack`: all iterations of one block, then those of the next.
    - `weave`: the first iteration of every block, then the second of every block, and so on.
    - `merge`: nothing is passed on: each block starts from its own latent, and the mean over the present ones is read,
      as `lego-merge` does. It is what a recipe keeps where fine-tuning made it worse.

    The blocks are visited in the order of their names. Deviations from the released code: any number of blocks, all
    iterations of each in `weave`, and no state changes inside `forward`.
    """

    def __init__(self, blocks: Mapping[str, LegoBlock], mode: Mode = "stack") -> None:
        super().__init__()
        self.names = sorted(blocks)
        self.blocks = nn.ModuleList(blocks[name] for name in self.names)  # by position, because names may contain a dot
        self.mode: Mode = mode
        self.latent = nn.Parameter(torch.stack([blocks[name].latent.detach() for name in self.names]).mean(0))
        merged = mode == "merge"
        self.latent.requires_grad_(not merged)
        for block in blocks.values():  # what is not used is not counted as trained
            block.latent.requires_grad_(merged)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the present modalities; `present` is `(B, M)` bool, modalities sorted by name."""
        latents = self.latent.expand(present.shape[0], -1, -1)
        blocks = [(cast(LegoBlock, self.blocks[m]), tokens[name], present[:, m]) for m, name in enumerate(self.names)]
        if self.mode == "merge":
            given = torch.stack([block(own, here) for block, own, here in blocks])  # (M, B, L, D)
            share = (present | ~present.any(1, keepdim=True)).to(self.latent.dtype)  # nobody: all learned latents
            share = (share / share.sum(1, keepdim=True)).T[:, :, None, None]
            return Fused(pool((given * share).sum(0)))
        if self.mode == "stack":
            for block, own, here in blocks:
                latents = block.from_domain(block(own, here, latents))
        else:
            own_tokens = [own.where_present(here) for _, own, here in blocks]
            contexts = [block.entrance(own) for (block, _, _), own in zip(blocks, own_tokens, strict=True)]
            for layer in range(max(len(block.layers) for block, _, _ in blocks)):
                for (block, _, here), own, context in zip(blocks, own_tokens, contexts, strict=True):
                    if layer < len(block.layers):
                        latents = block.from_domain(block.iterate(layer, latents, context, own.mask, here))
        return Fused(pool(latents))
