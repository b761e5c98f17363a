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
    vectors: Tensor,
    scale: Tensor,
    generator: torch.Generator,
    *,
    here: Tensor | None = None,
    stood: Tensor | None = None,
    every: bool = False,
) -> Tensor:
    """Compute the mean over the anchors of the cross entropy of the own tuple, a finite scalar; zero without patients.

    For the anchor m and the patient i the logits are `scale <r_m,i, q_j>`, where `q_i` is the product of the patient's
    own other vectors and `q_j`, `j != i`, that of a tuple which is shuffled. With two modalities it is CLIP's loss.

    Args:
        vectors: `(B, M, D)`, two modalities or more; those of patients who are not `here` are not read.
        scale: scalar above zero.
        generator: draws the permutations, on the CPU.
        here: `(B,)` bool, the patients who take part, all their vectors given; None: all.
        stood: `(B, M)` bool, where the vector is the stand-in that all share who lack the modality; None: nowhere.
        every: take all `n^(M-1) - 1` other tuples as negatives instead of n - 1 shuffled ones.

    Raises:
        ValueError: fewer than two modalities, or more tuples than a million.

    Deviation: the paper permutes every other modality by itself, so that the own tuple is also among the negatives,
    once in n^(M-2) columns: with two modalities in nearly every batch, which is not CLIP's loss. Here one of the
    others, drawn for each anchor, stays in its place, and the rest is permuted: no negative is the own tuple. With
    stand-ins a drawn tuple can still be one that a patient has, since they are the same for several: such a tuple is
    left out of the negatives.
    """
    if vectors.ndim != 3 or vectors.shape[1] < 2:
        raise ValueError(f"vectors are {(*vectors.shape,)}: (B, M, D) of two modalities or more are needed")
    own = vectors if here is None else vectors[here]
    n, modalities = own.shape[:2]
    if not n:
        return own.sum() * scale
    if every and n ** (modalities - 1) > MOST_TUPLES:
        raise ValueError(f"{n} patients of {modalities} modalities have more tuples than can be compared: shuffle them")
    who = torch.arange(n, device=own.device)[:, None].expand(n, modalities)  # whose the vector is; -1: a stand-in
    shared = stood is not None and bool(stood.any())
    if stood is not None:
        who = who.masked_fill(stood if here is None else stood[here], -1)
    losses = []
    for anchor in range(modalities):
        others = [own[:, m] for m in range(modalities) if m != anchor]
        if every:
            logits = scale * own[:, anchor] @ all_tuples(others).T  # (n, n ** (M - 1))
            places = torch.cartesian_prod(*[torch.arange(n, device=own.device)] * len(others)).view(-1, len(others))
            step = sum(n**power for power in range(modalities - 1))
            positive = torch.arange(n, device=own.device) * step  # where all places of the tuple are i
        else:
            places = drawn_places(n, len(others), generator).to(own.device)
            logits = scale * own[:, anchor] @ shuffled(others, places).T  # (n, n)
            positive = torch.arange(n, device=own.device)
            same = torch.eye(n, dtype=torch.bool, device=own.device)
            logits = torch.where(same, scale * multilinear(own)[:, None], logits)
        if shared:
            true = own_tuples(who, anchor, places).scatter(1, positive[:, None], False)
            logits = logits.masked_fill(true, -torch.inf)
        losses.append(functional.cross_entropy(logits, positive))
    return torch.stack(losses).mean()


def multilinear(vectors: Tensor) -> Tensor:
    """Compute the multilinear inner product `sum_k prod_m r_m[k]` of vectors `(..., M, D)`: `(...)`."""
    return vectors.prod(-2).sum(-1)


def drawn_places(n: int, factors: int, generator: torch.Generator) -> Tensor:
    """Draw whose factor stands where in n tuples, `(n, factors)`: one factor, drawn, in its place, the rest permuted.

    Row j never is of one patient i alone unless i is j.
    """
    kept = int(torch.randint(factors, (), generator=generator)) if factors > 1 else 0
    columns = [torch.arange(n) if m == kept else torch.randperm(n, generator=generator) for m in range(factors)]
    return torch.stack(columns, 1)


def shuffled(others: Sequence[Tensor], places: Tensor) -> Tensor:
    """Return the products `(n, D)` of factors `(n, D)`, each taken from the patients of its column of `places`."""
    product = others[0][places[:, 0]]
    for number, factor in enumerate(others[1:], start=1):
        product = product * factor[places[:, number]]
    return product


def own_tuples(who: Tensor, anchor: int, places: Tensor) -> Tensor:
    """Tell which tuples, with an anchor, are those that a patient has: `(n, T)` bool, of anchors and tuples.

    Args:
        who: `(n, M)`, the patient whose vector it is; -1 for a stand-in, which all have in common who have none.
        anchor: the modality of the anchors.
        places: `(T, M - 1)`, the patients from whom a tuple's other vectors are taken.
    """
    others = [m for m in range(who.shape[1]) if m != anchor]
    had = torch.ones(len(who), len(places), dtype=torch.bool, device=who.device)
    for number, m in enumerate(others):
        had &= who[:, m, None] == who[places[:, number], m]
    same = who[:, anchor, None] == who[:, anchor]
    return (same.float() @ had.float()) > 0


def all_tuples(others: Sequence[Tensor]) -> Tensor:
    """Return the products of all tuples, `(n ** len(others), D)`, the last factor's patient changing fastest."""
    product = others[0]
    for factor in others[1:]:
        product = (product[:, None, :] * factor[None, :, :]).flatten(0, 1)
    return product
