"""ChAda-ViT as its authors released it, so that the tensors of a published checkpoint have their places."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from chiasm.encoders.image.channel_sequence import in_one_sequence, patches_of

FEED_FORWARD = 2048


class ReleasedLayer(nn.TransformerEncoderLayer):
    """Transformer layer of the release: `y = norm1(x + attention(norm1(x)))`, then `norm2(y + W_2 relu(W_1 y))`.

    The first norm stands before the attention and after the sum, both by the same weights: the release calls it on the
    input of the attention also where norms come last, and its checkpoints were trained so.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads, FEED_FORWARD, dropout=0.0, batch_first=True)

    def forward(self, src: Tensor, src_key_padding_mask: Tensor | None = None, **unused: Any) -> Tensor:  # type: ignore[override]
        """Map `(B, T, D)` to `(B, T, D)`; the keys where the mask is True are not read."""
        read = self.norm1(src)
        attended: Tensor = self.self_attn(read, read, read, key_padding_mask=src_key_padding_mask, need_weights=False)[
            0
        ]
        src = self.norm1(src + attended)
        found: Tensor = self.norm2(src + self.linear2(torch.relu(self.linear1(src))))
        return found


class TokenLearner(nn.Module):
    """The shared convolution of all channels, under its released name."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, patch, stride=patch)


class ReleasedChAdaViT(nn.Module):
    """ChAda-ViT by the layout and tensor names of nicoboou/chadavit: norms last, ReLU, a position for the class token.

    `token_learner.proj`, `cls_token` `(1, 1, D)`, `channel_token` `(1, C, 1, D)`, `pos_embed` `(1, 1, N + 1, D)`,
    `blocks.<i>` and `norm`. The sizes of its source: D 192, 12 blocks, 2 heads, patches of 16 in images of 224, C 10.

    Args:
        size, patch: side of the image and of a patch, in pixels.
        width, depth, heads: dimensions of the transformer.
        most: number of channel embeddings.
    """

    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int, most: int) -> None:
        super().__init__()
        self.token_learner = TokenLearner(width, patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.channel_token = nn.Parameter(torch.randn(1, most, 1, width) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, 1, (size // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.ModuleList([ReleasedLayer(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor, kinds: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class token `(B, D)` and the patches of every channel `(B, C, N, D)`.

        Args:
            images: `(B, C, H, W)`; the values of an absent channel have no effect if they are finite.
            kinds: `(B, C)` int64, index of the channel embedding.
            present: `(B, C)` bool.
        """
        places = self.pos_embed[:, :, 1:] + self.channel_token[0][kinds]
        first = (self.cls_token + self.pos_embed[:, :, 0]).expand(len(images), -1, -1)
        patches = patches_of(images, self.token_learner.proj) + places
        return in_one_sequence(first, patches, present, self.blocks, self.norm)
