"""Retrieval bottleneck: each modality finds words of one vocabulary, and what they find together is the embedding.

After ImgAny (Lyu et al., arXiv 2401.17664), which retrieves entities and attributes in the space of ImageBind and fuses
what it found by similarity. Nothing is trained.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SAME = 1 - 1e-5  # cosine from which two modalities are one


def retrieved(
    vectors: Tensor,
    present: Tensor,
    vocabulary: Tensor,
    *,
    k: int,
    temperature: float = 0.1,
    known: Tensor | None = None,
    comparable: Tensor | None = None,
) -> Tensor:
    """Return the fused vectors `(B, D)`, zeros for a patient without a modality: `e = sum_v s_v v`.

    s_v is the share of word v among what all modalities found (`shares`, which has the arguments and the formula).
    """
    found = shares(vectors, present, vocabulary, k=k, temperature=temperature, known=known, comparable=comparable)
    return found @ vocabulary


def shares(
    vectors: Tensor,
    present: Tensor,
    vocabulary: Tensor,
    *,
    k: int,
    temperature: float = 0.1,
    known: Tensor | None = None,
    comparable: Tensor | None = None,
) -> Tensor:
    """Return the share of each word `(B, K)`, 1 in all, and zeros for a patient without a modality.

        a_m = softmax over the k nearest words v of m of <x_m, v> / t       what m finds, zero at all other words
        b_m = sum_v a_mv v                                                  m as the words say it
        w_m ~ 1 / n_m exp(mean over the other modalities of cos(b_m, b_m') / t)
        s   = sum_m w_m a_m                                                 the union of what all found

    n_m is how many modalities have m's vector: a duplicate shares its weight, and changes nothing. The mean over the
    others counts each different one once. Who finds other words than the rest agree on is weighted down; two that
    disagree have equal weights, since nobody can say which is wrong. Only modalities of one space are compared; one
    that is compared with none takes the mean of what the others agree by, and so a mean weight.

    Args:
        vectors: `(B, M, D)` of unit length; those of absent modalities are not read.
        present: `(B, M)` bool.
        vocabulary: `(K, D)` words of unit length.
        k: number of words that a modality finds, all where there are fewer.
        temperature: t, above zero.
        known: `(M, K)` bool, the words that each modality may find, one or more; None: all.
        comparable: `(M, M)` bool, which modalities lie in one space; None: all.
    """
    own = torch.where(present[..., None], vectors, torch.zeros_like(vectors))
    near = own @ vocabulary.T  # (B, M, K)
    near = near if known is None else near.masked_fill(~known, -torch.inf)
    best = near.topk(min(k, len(vocabulary)), dim=2)
    found = torch.zeros_like(near).scatter(2, best.indices, torch.softmax(best.values / temperature, 2))
    said = functional.normalize(found @ vocabulary, dim=2)  # (B, M, D)
    both = present[:, :, None] & present[:, None, :]
    same = doubles(own, present)
    copies = same.sum(2).clamp_min(1)  # (B, M)
    compared = both & ~same if comparable is None else both & ~same & comparable
    others = compared / copies[:, None, :]  # each different one once
    agreed = (others * (said @ said.transpose(1, 2))).sum(2) / others.sum(2).clamp_min(1e-6)
    judged = compared.any(2)
    usual = (agreed * judged).sum(1, keepdim=True) / judged.sum(1, keepdim=True).clamp_min(1)
    agreed = torch.where(judged, agreed, usual)
    weight = torch.exp(agreed / temperature) / copies * present
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-12)
    return (weight[..., None] * found).sum(1)


def doubles(vectors: Tensor, present: Tensor) -> Tensor:
    """Which modalities `(B, M, M)` bool of a patient have one vector, each its own too, among those present."""
    order = torch.arange(vectors.shape[1], device=vectors.device)
    alone = order[:, None] == order  # a zero vector too is its own
    both = present[:, :, None] & present[:, None, :]
    return (((vectors @ vectors.transpose(1, 2)) > SAME) | alone) & both
