"""Symile: contrast of any number of modalities at once by their multilinear inner product (NeurIPS 2024).

    <r_1, ..., r_M> = sum_k prod_m r_m[k]

Saporta, Puli, Goldstein, Ranganath, arXiv 2411.01053. For each modality as the anchor, the patient's own tuple is told
from tuples of the anchor with the others' vectors of other patients; the loss bounds the total correlation from below.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

MOST_TUPLES = 1_000_000


def symile(
    vectors: Tensor, scale: Tensor, generator: torch.Generator, *, here: Tensor | None = None, every: bool = False
) -> Tensor:
    """Compute the mean over the anchors of the cross entropy of the own tuple, a finite scalar; zero without patients.

    For the anchor m and the patient i the logits are `scale <r_m,i, q_j>`, where `q_i` is the product of the patient's
    own other vectors and `q_j`, `j != i`, that of a tuple which is shuffled. With two modalities it is CLIP's loss.

    Args:
        vectors: `(B, M, D)`, two modalities or more; those of patients who are not `here` are not read.
        scale: scalar above zero.
        generator: draws the permutations, on the CPU.
        here: `(B,)` bool, the patients who take part, all their vectors given; None: all.
        every: take all `n^(M-1) - 1` other tuples as negatives instead of n - 1 shuffled ones.

    Raises:
        ValueError: fewer than two modalities, or more tuples than a million.

    Deviation: the paper permutes every other modality by itself, so that the own tuple is also among the negatives,
    once in n^(M-2) columns: with two modalities in nearly every batch, which is not CLIP's loss. Here one of the
    others, drawn for each anchor, stays in its place, and the rest is permuted: no negative is the own tuple.
    """
    if vectors.ndim != 3 or vectors.shape[1] < 2:
        raise ValueError(f"vectors are {(*vectors.shape,)}: (B, M, D) of two modalities or more are needed")
    own = vectors if here is None else vectors[here]
    n, modalities = own.shape[:2]
    if not n:
        return own.sum() * scale
    if every and n ** (modalities - 1) > MOST_TUPLES:
        raise ValueError(f"{n} patients of {modalities} modalities have more tuples than can be compared: shuffle them")
    losses = []
    for anchor in range(modalities):
        others = [own[:, m] for m in range(modalities) if m != anchor]
        if every:
            logits = scale * own[:, anchor] @ all_tuples(others).T  # (n, n ** (M - 1))
            step = sum(n**power for power in range(modalities - 1))
            positive = torch.arange(n, device=own.device) * step  # where all places of the tuple are i
        else:
            logits = scale * own[:, anchor] @ shuffled(others, generator).T  # (n, n)
            positive = torch.arange(n, device=own.device)
            same = torch.eye(n, dtype=torch.bool, device=own.device)
            logits = torch.where(same, scale * multilinear(own)[:, None], logits)
        losses.append(functional.cross_entropy(logits, positive))
    return torch.stack(losses).mean()


def multilinear(vectors: Tensor) -> Tensor:
    """Compute the multilinear inner product `sum_k prod_m r_m[k]` of vectors `(..., M, D)`: `(...)`."""
    return vectors.prod(-2).sum(-1)


def shuffled(others: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Return products `(n, D)` of factors `(n, D)`: one of them, which is drawn, in its place, the rest permuted.

    Row j never is the product of one patient i's own vectors unless i is j.
    """
    n = len(others[0])
    kept = int(torch.randint(len(others), (), generator=generator)) if len(others) > 1 else 0
    product = others[kept]
    for number, factor in enumerate(others):
        if number != kept:
            product = product * factor[torch.randperm(n, generator=generator).to(factor.device)]
    return product


def all_tuples(others: Sequence[Tensor]) -> Tensor:
    """Return the products of all tuples, `(n ** len(others), D)`, the last factor's patient changing fastest."""
    product = others[0]
    for factor in others[1:]:
        product = (product[:, None, :] * factor[None, :, :]).flatten(0, 1)
    return product
