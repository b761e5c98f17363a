"""Matching of two modalities: is this the other one's? Pairs of other patients that look alike are the hard ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ALIKE = 1e-5  # of the largest number, by which the same content may differ


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


def same_content(values: Tensor) -> Tensor:
    """Tell which patients have the same tokens: `(n, n)` bool, symmetric, True on the diagonal.

    Two are the same where no number differs by more than 1e-5 of the largest; equal texts that were encoded in other
    batches differ by less. Each is compared with the first one of those that it may equal, and not with all.

    Args:
        values: `(n, T, D)`, zeros where a patient has no token.
    """
    flat = values.detach().flatten(1)
    sums, most = flat.double().sum(1), flat.abs().amax(1) if flat.shape[1] else flat.new_zeros(len(flat))
    first, left = torch.arange(len(flat), device=flat.device), torch.ones(len(flat), dtype=torch.bool)
    for k in range(len(flat)):
        if not left[k]:
            continue
        within = ALIKE * float(most[k])
        near = left & ((sums - sums[k]).abs() <= within * max(flat.shape[1], 1)).cpu()
        rows = torch.nonzero(near)[:, 0].to(flat.device)
        same = rows[((flat[rows] - flat[k]).abs() <= within).all(1)]
        first[same], left[same.cpu()] = k, False
    return first[:, None] == first


def matching_loss(logits: Tensor, belongs: Tensor) -> Tensor:
    """Return the mean binary cross entropy of pairs, a scalar; zero without a pair.

    Args:
        logits: `(n,)`, above zero for a pair that belongs together.
        belongs: `(n,)` bool.
    """
    if not len(logits):
        return logits.sum()
    return functional.binary_cross_entropy_with_logits(logits, belongs.to(logits))
