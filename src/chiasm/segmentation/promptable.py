"""A promptable network of label maps: SAM, an adapter after each block of its encoder, and a word for each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.adapters.part import Part
from chiasm.segmentation.prompts import ABSENT, FIRST, NOTHING, Prompts, whole
from chiasm.segmentation.sam import frozen

BEFORE = 8.0
"""A mask before is told as logits of this size, above zero where it is and below where it is not."""
COLOURS = 3


class PromptedSam(nn.Module):
    """Masks of prompts in the images of one contrast or several, any of them absent.

        e = mean over the contrasts present of encode(x_m);  l_k = decode(e, prompts + w_k)

    `encode` is SAM's, an adapter after each of its blocks; `w_k`, a word for each label, zero at first, is added to
    each token of its prompts. Logits of a label map are 0 of no label and l_k of label k, asked by a box of the whole
    image where nobody clicks. A network of fresh adapters and words is SAM, bit for bit. An image is read with its
    longest side at SAM's size, and zeros beside it; one of one channel three times.

    Args:
        channels: contrast to its number of channels.
        labels: K.
        sam: a `SamModel`.
        adapters: a part for each block; empty: none.
        begun: whether SAM is trained already: its encoder is frozen then, else trained from nothing.
    """

    axes = 2

    def __init__(
        self, channels: Mapping[str, int], labels: int, sam: Any, adapters: Sequence[Part], begun: bool
    ) -> None:
        super().__init__()
        self.names, self.labels, self.sam = sorted(channels), labels, sam
        self.adapters = nn.ModuleList(adapters)
        self.words = nn.Parameter(torch.zeros(labels, sam.config.mask_decoder_config.hidden_size))
        self.size = int(sam.config.vision_config.image_size)
        for name, own in channels.items():
            if own not in (1, COLOURS):
                raise ValueError(f"SAM reads grey images or colours: encode '{name}' with 1 or 3 channels")
        if begun:
            frozen(sam.vision_encoder)
        frozen(sam.mask_decoder.output_hypernetworks_mlps[1:])  # of masks of several meanings, which are not asked
        self.off = False

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return logits `(B, K + 1, ...)` of what is drawn by itself, the first of no label."""
        first = next(iter(images.values()))
        shape = tuple(first.shape[2:])
        embedded = self.embedded(images, present)
        label = torch.arange(self.labels).repeat(len(present))
        owner = torch.arange(len(present)).repeat_interleave(self.labels)
        logits, _ = self.masks(embedded, owner, label, whole(shape, len(owner)), shape)
        logits = logits.view(len(present), self.labels, *shape)
        return torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)

    def embedded(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Embeddings `(B, C, h, w)` of images `(B, c, H, W)`, the mean over the contrasts that each has."""
        total: Tensor | None = None
        for m, name in enumerate(self.names):
            rows = present[:, m].nonzero()[:, 0]
            if name not in images or not len(rows):
                continue
            own = self.encoded(self.fitted(images[name][rows]))
            if total is None:
                total = own.new_zeros(len(present), *own.shape[1:])
            total = total.index_add(0, rows.to(own.device), own)
        if total is None:
            raise ValueError("no contrast is present: there is nothing to draw in")
        return total / present.sum(1).to(total).view(-1, *[1] * (total.ndim - 1))

    def fitted(self, images: Tensor) -> Tensor:
        """Images `(B, c, H, W)` as SAM reads them, `(B, 3, S, S)`."""
        high, wide = self.sides(images.shape[2:])
        if (high, wide) != tuple(images.shape[2:]):
            images = functional.interpolate(images, size=(high, wide), mode="bilinear", antialias=True)
        images = functional.pad(images, (0, self.size - wide, 0, self.size - high))
        return images if images.shape[1] == COLOURS else images.repeat(1, COLOURS, 1, 1)

    def sides(self, shape: Sequence[int]) -> tuple[int, int]:
        """Height and width that an image has within SAM's."""
        scale = self.size / max(shape[-2:])
        return max(1, round(shape[-2] * scale)), max(1, round(shape[-1] * scale))

    def encoded(self, pixels: Tensor) -> Tensor:
        """SAM's embedding `(B, C, h, w)` of `(B, 3, S, S)`, with the adapters unless `off`."""
        encoder = self.sam.vision_encoder
        hidden = encoder.patch_embed(pixels)
        if encoder.pos_embed is not None:
            hidden = hidden + encoder.pos_embed
        for number, block in enumerate(encoder.layers):
            after = block(hidden)
            hidden = self.adapters[number](hidden, after) if len(self.adapters) and not self.off else after
        own: Tensor = encoder.neck(hidden)
        return own

    def masks(
        self, embedded: Tensor, owner: Tensor, label: Tensor, prompts: Prompts, shape: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Logits `(N, ...)` of N masks, and how well SAM thinks that each fits, `(N,)`.

        Args:
            embedded: `(B, C, h, w)`, of `embedded`.
            owner, label: `(N,)`, the image and the label of each mask.
            prompts: of each mask, in pixels of the image.
            shape: of the image, H, W or D, H, W.
        """
        logits: Tensor | None = None
        prompts, owner, label = prompts.to(embedded.device), owner.to(embedded.device), label.to(embedded.device)
        kinds = prompts.kinds
        tokens, fits = (kinds != ABSENT).sum(1), embedded.new_zeros(len(owner))
        had = prompts.had
        for many, given in {(int(n), bool(g)) for n, g in zip(tokens, had, strict=True)}:
            rows = ((tokens == many) & (had == given)).nonzero()[:, 0]
            real = order_of(kinds[rows])[:, :many]
            places = prompts.places[rows].gather(1, real[..., None].expand(-1, -1, prompts.places.shape[2]))
            before = prompts.before[rows] if given and prompts.before is not None else None
            asked = places, kinds[rows].gather(1, real), label[rows], before, shape
            own, own_fits = self.asked(embedded[owner[rows]], *asked)
            logits = own.new_zeros(len(owner), *shape) if logits is None else logits
            logits, fits = logits.index_copy(0, rows, own), fits.index_copy(0, rows, own_fits)
        if logits is None:
            raise ValueError("no mask is asked for")
        return logits, fits

    def asked(
        self,
        embedded: Tensor,
        places: Tensor,
        kinds: Tensor,
        label: Tensor,
        before: Tensor | None,
        shape: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        """Logits `(N, H, W)` of N masks of embeddings `(N, C, h, w)` and equally many tokens each, and their fits."""
        sparse = self.sparse(places, kinds, label, shape)
        low, fits = self.decoded(embedded, sparse, self.dense(before, len(embedded)))
        return self.restored(low, shape), fits

    def sparse(self, places: Tensor, kinds: Tensor, label: Tensor, shape: Sequence[int]) -> Tensor:
        """Tokens `(N, 1, P, C)` of prompts `(N, P)`, as SAM's own, and the word of each one's label added."""
        encoder = self.sam.prompt_encoder
        scale = torch.tensor(self.sides(shape)).to(places) / torch.tensor(tuple(shape[-2:])).to(places)
        at = ((places[..., -2:] + 0.5) * scale).flip(-1)[:, None]  # (N, 1, P, 2), across before down
        own = encoder.shared_embedding(at, (self.size, self.size))
        own = torch.where((kinds == NOTHING)[:, None, :, None], encoder.not_a_point_embed.weight, own)
        for kind, told in enumerate(encoder.point_embed):
            own = torch.where((kinds == kind)[:, None, :, None], own + told.weight, own)
        tokens: Tensor = own if self.off else own + self.words[label][:, None, None]
        return tokens

    def dense(self, before: Tensor | None, many: int) -> Tensor:
        """What is added to the embedding `(N, C, h, w)` of masks before, `(N, H, W)` bool, or of none."""
        encoder = self.sam.prompt_encoder
        side = int(encoder.image_embedding_size[0])
        if before is None:
            plain: Tensor = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(many, -1, side, side)
            return plain
        high, wide = self.sides(before.shape[1:])
        share = functional.interpolate(before[:, None].float(), size=(high, wide), mode="bilinear", antialias=True)
        share = functional.pad(share, (0, self.size - wide, 0, self.size - high))
        low = functional.interpolate(share, size=(4 * side, 4 * side), mode="bilinear", antialias=True)
        told: Tensor = encoder.mask_embed(BEFORE * (2 * low - 1))
        return told

    def decoded(self, embedded: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """SAM's masks `(N, 4h, 4w)` of embeddings `(N, C, h, w)` and prompts, and how well each fits, `(N,)`."""
        places = self.sam.get_image_wide_positional_embeddings().repeat(len(embedded), 1, 1, 1)
        low, fits = self.sam.mask_decoder(
            image_embeddings=embedded, image_positional_embeddings=places, sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense, multimask_output=False,
        )  # fmt: skip
        return low[:, 0, 0], fits[:, 0, 0]

    def restored(self, low: Tensor, shape: Sequence[int]) -> Tensor:
        """Masks `(N, 4h, 4w)` on the grid of the image, `(N, H, W)`."""
        high, wide = self.sides(shape)
        whole_side = functional.interpolate(low[:, None], size=(self.size,) * 2, mode="bilinear", align_corners=False)
        own = whole_side[..., :high, :wide]
        if (high, wide) != tuple(shape[-2:]):
            own = functional.interpolate(own, size=tuple(shape[-2:]), mode="bilinear", align_corners=False)
        return own[:, 0]


def order_of(kinds: Tensor) -> Tensor:
    """Columns `(N, P)` in which SAM has its tokens: clicks, corners, nothing; those that are absent last."""
    rank = torch.where(kinds == ABSENT, 3, torch.where(kinds == NOTHING, 2, (kinds >= FIRST).long()))
    return rank.argsort(dim=1, stable=True)
