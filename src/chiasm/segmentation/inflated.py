"""SAM of pictures made one of volumes: slices that see each other, and clicks that are heard in every slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.adapters.part import Part
from chiasm.segmentation.promptable import PromptedSam
from chiasm.segmentation.prompts import INSIDE, NOTHING

CODES = 8
"""Places along the depth that have a code of their own; those of a window lie between."""
REACHES = (2.0, 8.0)
"""Slices over which the distance of a click from a slice is told."""


class InflatedSam(PromptedSam):
    """Masks of prompts in volumes `(B, c, D, H, W)`, by a SAM that reads slices.

    Each slice is embedded as a picture. Beside what SAM does there, and nothing of it at first:

    - patches are convolved along the depth, a kernel of three for each channel, begun as (0, 1, 0);
    - a code of the place along the depth is added;
    - in blocks whose attention is within windows, `slices` neighbours attend to each other, by the same weights and
      relative places within the slice, and by relative depth;
    - adapters are convolutional over the volume (`adapters.Bottleneck`).

    The decoder draws every slice, asked by every click as if it were in that slice, to which is added what is seen at
    the click's place and how far it is. Fresh, the network of a volume of equal slices is SAM in each of them.

    Args:
        channels, labels, sam, adapters, begun: as in `PromptedSam`.
        slices: neighbours that attend to each other; 1: none.

    Source: Gong et al., 3DSAM-adapter (arXiv 2306.13465). Deviations: its decoder of several layers is SAM's own, slice
    by slice; no activation after the adapter, with which it could only add.
    """

    axes = 3

    def __init__(
        self, channels: Mapping[str, int], labels: int, sam: Any, adapters: Sequence[Part], begun: bool, slices: int
    ) -> None:
        super().__init__(channels, labels, sam, adapters, begun)
        seen = sam.config.vision_config
        width, heads, out = int(seen.hidden_size), int(seen.num_attention_heads), int(seen.output_channels)
        self.slices = slices
        self.along = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0), groups=width, bias=False)
        self.deep = nn.Parameter(torch.zeros(CODES, width))
        windowed = [number for number, block in enumerate(sam.vision_encoder.layers) if block.window_size > 0]
        self.apart = nn.ParameterDict(
            {str(number): torch.zeros(2 * slices - 1, width // heads) for number in windowed if slices > 1}
        )
        self.seen = nn.Linear(out, out, bias=False)
        self.far = nn.Linear(2 * len(REACHES), out, bias=False)
        with torch.no_grad():
            self.along.weight.zero_()
            self.along.weight[:, :, 1] = 1.0
            self.seen.weight.zero_()
            self.far.weight.zero_()

    def fitted(self, images: Tensor) -> Tensor:
        """Volumes `(B, c, D, H, W)` as SAM reads their slices, `(B, D, 3, S, S)`."""
        slices = super().fitted(images.transpose(1, 2).flatten(0, 1))
        return slices.view(len(images), images.shape[2], *slices.shape[1:])

    def encoded(self, pixels: Tensor) -> Tensor:
        """Embeddings `(B, D, C, h, w)` of `(B, D, 3, S, S)`; those of SAM alone where `off`."""
        many, deep = pixels.shape[:2]
        if self.off:
            return folded(super().encoded(pixels.flatten(0, 1)), many, deep)
        encoder = self.sam.vision_encoder
        hidden = folded(encoder.patch_embed(pixels.flatten(0, 1)), many, deep)  # (B, D, h, w, C)
        hidden = self.along(hidden.movedim(-1, 1)).movedim(1, -1)
        code = functional.interpolate(self.deep.T[None], size=deep, mode="linear", align_corners=True)[0].T
        hidden = hidden + code[:, None, None]
        if encoder.pos_embed is not None:
            hidden = hidden + encoder.pos_embed
        for number, block in enumerate(encoder.layers):
            if str(number) in self.apart:
                after = attended(block, hidden, self.apart[str(number)])
            else:
                after = folded(block(hidden.flatten(0, 1)), many, deep)
            hidden = self.adapters[number](hidden, after) if len(self.adapters) else after
        return folded(encoder.neck(hidden.flatten(0, 1)), many, deep)

    def asked(
        self,
        embedded: Tensor,
        places: Tensor,
        kinds: Tensor,
        label: Tensor,
        before: Tensor | None,
        shape: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        """Logits `(N, D, H, W)` of N masks of embeddings `(N, D, C, h, w)`, and how well they fit."""
        many, deep = embedded.shape[:2]
        tokens = self.sparse(places, kinds, label, shape).expand(-1, deep, -1, -1)  # (N, D, P, C)
        if not self.off:
            tokens = tokens + self.heard(embedded, places, kinds, shape)
        dense = self.dense(None if before is None else before.flatten(0, 1), many * deep)
        low, fits = self.decoded(embedded.flatten(0, 1), tokens.flatten(0, 1)[:, None], dense)
        return folded(self.restored(low, shape), many, deep), folded(fits, many, deep).mean(1)

    def heard(self, embedded: Tensor, places: Tensor, kinds: Tensor, shape: Sequence[int]) -> Tensor:
        """What is added in each slice to the tokens of prompts, `(N, D, P, C)`: how far they are, and what is there."""
        many, deep = embedded.shape[:2]
        at = torch.arange(deep).to(places)
        apart = places[:, None, :, 0] - at[None, :, None]  # (N, D, P)
        told = [part for reach in REACHES for part in (torch.tanh(apart / reach), torch.exp(-((apart / reach) ** 2)))]
        far = self.far(torch.stack(told, -1)) * (kinds != NOTHING)[:, None, :, None]
        nearest = places[..., 0].round().long().clamp(0, deep - 1)  # (N, P)
        scale = torch.tensor(self.sides(shape)).to(places) / torch.tensor(tuple(shape[-2:])).to(places)
        where = (2 * (places[..., 1:] + 0.5) * scale / self.size - 1).flip(-1)  # (N, P, 2), across before down
        slices = embedded[torch.arange(many)[:, None], nearest].flatten(0, 1)  # (N P, C, h, w)
        there = functional.grid_sample(slices, where.reshape(-1, 1, 1, 2), padding_mode="border", align_corners=False)
        clicked = (kinds >= 0) & (kinds <= INSIDE)
        seen = self.seen(folded(there[:, :, 0, 0], *nearest.shape)) * clicked[..., None]
        heard: Tensor = far + seen[:, None]
        return heard


def folded(flat: Tensor, many: int, deep: int) -> Tensor:
    """`(N D, ...)` as `(N, D, ...)`."""
    return flat.reshape(many, deep, *flat.shape[1:])


def attended(block: Any, hidden: Tensor, apart: Tensor) -> Tensor:
    """A block of SAM's encoder whose windows reach over neighbouring slices, `(B, D, h, w, C)` to the same.

    Args:
        apart: `(2 s - 1, c)` codes of relative depth, s the neighbours that attend to each other.
    """
    many, deep, high, wide, width = hidden.shape
    size, reach = int(block.window_size), (len(apart) + 1) // 2
    flat = hidden.flatten(0, 1)
    windows, padding = block.window_partition(block.layer_norm1(flat), size)
    each = windows.view(many, deep, -1, *windows.shape[1:]).transpose(1, 2)  # (B, n, D, size, size, C)
    parts = [
        volume_attention(block.attn, part.flatten(0, 1), apart).view(part.shape) for part in each.split(reach, dim=2)
    ]
    windows = torch.cat(parts, 2).transpose(1, 2).flatten(0, 2)
    flat = flat + block.window_unpartition(windows, size, padding, (high, wide))
    flat = flat + block.mlp(block.layer_norm2(flat))
    own: Tensor = flat.view(many, deep, high, wide, width)
    return own


def volume_attention(attention: Any, hidden: Tensor, apart: Tensor) -> Tensor:
    """SAM's attention among all places of `(N, d, h, w, C)`, with its relative places in a slice, and of depth.

    Equal slices attend as one: each key is there d times, which changes no weighted mean.
    """
    many, deep, high, wide, _ = hidden.shape
    area, heads = high * wide, int(attention.num_attention_heads)
    qkv = attention.qkv(hidden).reshape(many, deep * area, 3, heads, -1).permute(2, 0, 3, 1, 4)
    query, key, value = qkv.unbind(0)  # (N, heads, d area, c)
    by_slice = query.reshape(many, heads, deep, area, -1)
    steps = torch.arange(deep)
    codes = apart[steps[:, None] - steps[None] + (len(apart) - 1) // 2]  # (d, d, c)
    bias = torch.einsum("nhipc,ijc->nhipj", by_slice, codes)[..., None]
    if attention.use_rel_pos:
        plane = attention.get_decomposed_rel_pos(
            by_slice.reshape(-1, area, by_slice.shape[-1]), attention.rel_pos_h, attention.rel_pos_w, (high, wide),
            (high, wide),
        )  # fmt: skip
        bias = bias + plane.reshape(many, heads, deep, area, 1, area)
    bias = bias.expand(-1, -1, -1, -1, -1, area).reshape(many, heads, deep * area, deep * area)
    said = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    said = said.transpose(1, 2).reshape(many, deep, high, wide, -1)
    own: Tensor = attention.proj(said)
    return own
