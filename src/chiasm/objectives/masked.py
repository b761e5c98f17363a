"""Masked objective: letters that were hidden are told from all others, before and after them."""

from __future__ import annotations

import torch
from torch import Tensor

from chiasm.objectives.causal import Asked

SHARE = 0.15
HIDDEN, REPLACED = 0.8, 0.1


def corrupt(
    ids: Tensor,
    mask: Tensor,
    letters: range,
    others: Tensor,
    hidden: int,
    generator: torch.Generator | None,
    share: float = SHARE,
) -> Asked:
    """Hide a share of the letters: of those drawn 80 % become the mask, 10 % a random letter, and 10 % stay.

    A letter is drawn with probability `share`, independently; of a sequence without any one is drawn, so that each is
    learned from. A random letter may be the true one. What is not drawn is read as it is, and never asked for; those
    drawn are asked for, also where they stay. What is no letter of the alphabet is never drawn.

    Args:
        ids: `(B, T)` int64.
        mask: `(B, T)` bool, True at real places.
        letters: the numbers of the letters of the alphabet.
        others: `(K,)` int64, the numbers of which a random letter is one, each as likely.
        hidden: the number of the mask.
        generator: of the draws, on the CPU; None: torch's global one.
        share: between 0 and 1, above 0.

    Raises:
        ValueError: the share is not above 0, or above 1.

    Source: Devlin et al., BERT, NAACL 2019, arXiv:1810.04805, section 3.1. Deviation: at least one letter a sequence.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share of masked letters is {share}, and lies above 0, and at 1 or below")
    eligible = mask & (ids >= letters.start) & (ids < letters.stop)
    chance = torch.rand(ids.shape, generator=generator).to(ids.device)
    fate = torch.rand(ids.shape, generator=generator).to(ids.device)
    other = others[torch.randint(len(others), ids.shape, generator=generator)].to(ids.device)
    asked = eligible & (chance < share)
    lowest = torch.where(eligible, chance, 2.0).argmin(1, keepdim=True)  # (B, 1): the letter next to be drawn
    none = ~asked.any(1, keepdim=True)
    asked = asked | (none & eligible & torch.zeros_like(asked).scatter(1, lowest, True))
    read = torch.where(asked & (fate < HIDDEN), hidden, ids)
    read = torch.where(asked & (fate >= HIDDEN) & (fate < HIDDEN + REPLACED), other, read)
    return Asked(torch.where(mask, read, 0), mask, ids, asked)
