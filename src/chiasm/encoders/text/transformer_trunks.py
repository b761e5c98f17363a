"""Trunks around transformers networks, from network inputs to tokens: windows of word pieces, and images."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from chiasm.encoders.adaptable import Trunk, runs
from chiasm.tokens import Tokens

KEPT = 2  # numbers before the ids of a window: first and last (exclusive) piece whose state it keeps


class WindowTrunk(Trunk):
    """Trunk that maps windows of a text to the states of the pieces that each window keeps, or to their mean.

    Shorter windows are padded with the model's padding id, which is never attended to.

    Args:
        pooled: return the mean per window; otherwise one token per piece.
        most: maximum number of tokens per text.
    """

    pads: ClassVar[bool] = True

    def __init__(self, network: Any, pooled: bool, most: int) -> None:
        super().__init__(network)
        self.pooled, self.most = pooled, most
        self.padding = int(getattr(network.config, "pad_token_id", None) or 0)

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map windows `(N, 2 + P)`, ids padded by -1, to `(N, 1, D)` or `(N, T, D)`, T the longest window's ids."""
        bounds, ids = inputs[:, :KEPT].long(), inputs[:, KEPT:].long()
        mask = ids >= 0
        longest = int(mask.sum(1).max())
        ids, mask = ids[:, :longest], mask[:, :longest]  # (N, T)
        given = torch.where(mask, ids, self.padding)
        states = self.network(input_ids=given, attention_mask=mask.long()).last_hidden_state  # (N, T, D)
        steps = torch.arange(longest, device=inputs.device)
        kept = (steps >= bounds[:, :1]) & (steps < bounds[:, 1:])
        if not self.pooled:
            return states, kept
        weights = kept[..., None].to(states.dtype)
        return ((states * weights).sum(1) / weights.sum(1))[:, None], None

    def whole(self, tokens: Tokens) -> Tokens:
        """Average runs of neighbouring tokens if a text has too many."""
        return runs(tokens, self.most)


class VisionTrunk(Trunk):
    """Trunk that maps images of one size to the class token, if there is one, and the patches or their mean.

    Args:
        shape: channels, height and width of the input.
        patch: side of a patch in pixels, 0 for a convolutional network.
        pooled: return the mean of the patches; otherwise every patch.
        bends: interpolate the position embeddings to this size.
    """

    def __init__(self, network: Any, shape: tuple[int, ...], patch: int, pooled: bool, bends: bool) -> None:
        super().__init__(network)
        self.shape, self.patch, self.pooled, self.bends = shape, patch, pooled, bends

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map flat images `(N, P)` to tokens `(N, t, D)`."""
        options = {"interpolate_pos_encoding": True} if self.bends else {}
        states = self.network(inputs.reshape(-1, *self.shape), **options).last_hidden_state
        if states.ndim == 4:  # a convolutional network: (N, D, h, w)
            states = states.flatten(2).transpose(1, 2)
        height, width = self.shape[1:]
        special = states.shape[1] - (height // self.patch) * (width // self.patch) if self.patch else 0
        places = states[:, max(special, 0) :]  # (N, patches, D); without registers and the distillation token
        if self.pooled:
            places = places.mean(1, keepdim=True)
        return torch.cat([states[:, :1], places], 1) if special > 0 else places, None
