"""Soft tokens spliced into a prompt: a slot for each modality among the words, left out where a patient lacks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.tokens import Tokens

NOTHING = -1


@dataclass(frozen=True)
class Spliced:
    """A batch of prompts as embeddings, with what was padded at the end.

    Args:
        embedded: `(B, L, W)`.
        mask: `(B, L)` bool, True for a word or a soft token.
        source: `(B, L)` place in the prompt that each comes from; -1 where padded. Soft tokens share their slot's.
    """

    embedded: Tensor
    mask: Tensor
    source: Tensor


def slot(number: int) -> int:
    """Return what stands in a prompt for the modality of this number: below zero, so that it is no word."""
    return -1 - number


def splice(words: Tensor, ids: Tensor, mask: Tensor, soft: Sequence[Tokens], embed_size: int) -> Spliced:
    """Put soft tokens in the place of slots, one patient's after another without a gap, padded at the end.

    A slot of which a patient has no soft token is left out: nothing stands for it, and what follows moves up.

    Args:
        words: `(B, P, W)` embeddings of the words; at slots and where padded they are never read.
        ids: `(B, P)` numbers of words, and `slot(m)`.
        mask: `(B, P)` bool, False where padded.
        soft: of each modality m the soft tokens, `(B, K_m, W)`.
        embed_size: W.

    Raises:
        ValueError: a prompt has a slot for which there is no connector.
    """
    lowest = int(ids[mask].min()) if bool(mask.any()) else 0
    if lowest < -len(soft):
        raise ValueError(
            f"a prompt has a slot for modality number {-lowest}, and the model has connectors for {len(soft)}: a "
            "modality without a connector cannot be read"
        )
    batch = len(ids)
    sizes = (mask & (ids >= 0)).long()
    for m, own in enumerate(soft):
        here = mask & (ids == slot(m))
        sizes = torch.where(here, own.mask.sum(1, keepdim=True), sizes)
    starts = sizes.cumsum(1) - sizes  # (B, P)
    longest = max(1, int(sizes.sum(1).max()))
    embedded = words.new_zeros((batch, longest, embed_size))
    source = torch.full((batch, longest), NOTHING, device=ids.device)
    rows, places = (mask & (ids >= 0)).nonzero(as_tuple=True)
    into = starts[rows, places]
    embedded = embedded.index_put((rows, into), words[rows, places])
    source[rows, into] = places
    for m, own in enumerate(soft):
        rows, places = (mask & (ids == slot(m))).nonzero(as_tuple=True)
        if not len(rows):
            continue
        real = own.mask[rows]  # (S, K)
        rank = real.long().cumsum(1) - 1
        which, token = real.nonzero(as_tuple=True)
        into = starts[rows, places][which] + rank[which, token]
        embedded = embedded.index_put((rows[which], into), own.values[rows[which], token].to(embedded.dtype))
        source[rows[which], into] = places[which]
    return Spliced(embedded, source >= 0, source)


def joined(first: Tensor, first_mask: Tensor, rows: Tensor, then: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Prompts `first[rows]` each with words behind it, padded at the end: `(S, P')` and which are real.

    Args:
        first, first_mask: `(B, P)` prompts.
        rows: `(S,)` which prompt each begins with.
        then: of each the words that follow.
    """
    lengths = first_mask.sum(1)[rows]
    tails = torch.tensor([len(own) for own in then], device=first.device)
    longest = int((lengths + tails).max())
    ids = first.new_zeros((len(rows), longest))
    steps = torch.arange(longest, device=first.device)
    mask = steps < (lengths + tails)[:, None]
    width = min(first.shape[1], longest)
    ids[:, :width] = torch.where(first_mask[rows, :width], first[rows, :width], 0)
    flat = torch.tensor([word for own in then for word in own], dtype=ids.dtype, device=first.device)
    behind = mask & (steps >= lengths[:, None])
    ids[behind] = flat
    return ids, mask
