"""One sequence of the patches of all channels of an image, as both layouts of ChAda-ViT read it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def patches_of(images: Tensor, conv: nn.Module) -> Tensor:
    """Embed the patches of each channel by one convolution: `(B, C, H, W)` to `(B, C, N, D)`."""
    each = conv(images.flatten(0, 1)[:, None]).flatten(2).transpose(1, 2)  # (B C, N, D)
    return torch.as_tensor(each.unflatten(0, images.shape[:2]))


def in_one_sequence(
    first: Tensor, patches: Tensor, present: Tensor, layers: Iterable[nn.Module], norm: nn.Module
) -> tuple[Tensor, Tensor]:
    """Run the layers over a class token and the patches of all channels; absent channels are masked as keys.

    Args:
        first: `(B, 1, D)` class token.
        patches: `(B, C, N, D)`.
        present: `(B, C)` bool.
        layers: transformer layers that take `src_key_padding_mask`.
        norm: the last norm.

    Returns:
        The class token `(B, D)`, and the patches `(B, C, N, D)`.
    """
    batch, count, places, _ = patches.shape
    states = torch.cat([first, patches.flatten(1, 2)], 1)
    absent = torch.cat([present.new_zeros(batch, 1), ~present.repeat_interleave(places, 1)], 1)
    for layer in layers:
        states = layer(states, src_key_padding_mask=absent)
    states = norm(states)
    return states[:, 0], states[:, 1:].unflatten(1, (count, places))
