"""Matching of two modalities: is this the other one's? Pairs of other patients that look alike are the hard ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def hard_negatives(similarity: Tensor, same: Tensor, generator: torch.Generator) -> Tensor:
    """Draw for each row another column, by the softmax of its similarity: `(n,)` int64, -1 where there is no other.

    Source: Li et al., ALBEF, NeurIPS 2021, arXiv 2107.07651, section 3.2.

    Args:
        similarity: `(n, n)`, the logits of the contrast; no gradient passes.
        same: `(n, n)` bool, the pairs that are no negatives: the own one, and those of equal content.
        generator: draws, on the CPU.
    """
    logits = similarity.detach().cpu().masked_fill(same.cpu(), -torch.inf)
    some = ~same.cpu().all(1)
    chances = torch.softmax(torch.where(some[:, None], logits, torch.zeros_like(logits)), 1)
    if not len(chances):
        return torch.zeros(0, dtype=torch.int64)
    drawn = torch.multinomial(chances, 1, generator=generator)[:, 0]
    return torch.where(some, drawn, -1).to(similarity.device)


def matching_loss(logits: Tensor, belongs: Tensor) -> Tensor:
    """Return the mean binary cross entropy of pairs, a scalar; zero without a pair.

    Args:
        logits: `(n,)`, above zero for a pair that belongs together.
        belongs: `(n,)` bool.
    """
    if not len(logits):
        return logits.sum()
    return functional.binary_cross_entropy_with_logits(logits, belongs.to(logits))
