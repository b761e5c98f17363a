"""Contrast of two modalities with soft targets: CLIP, UniCL, SupCon, FLAIR and SigLIP are settings of one function.

softmax   L = 1/2 (H(T, softmax_j z) + H(T', softmax_i z)),  z_ij = s <a_i, b_j>,  H the mean cross entropy of the rows
sigmoid   L = 1/B sum_ij BCE(sigmoid(z_ij + bias), T_ij)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def contrast(
    one: Tensor,
    other: Tensor,
    scale: Tensor,
    *,
    here: Tensor | None = None,
    targets: Tensor | None = None,
    sigmoid: bool = False,
    bias: Tensor | None = None,
    without_self: bool = False,
) -> Tensor:
    """Compute the symmetric contrastive loss of paired unit vectors, a finite scalar; zero if nobody has both.

    - CLIP (Radford et al., ICML 2021, arXiv 2103.00020): no targets; the patient's own pair is the positive one.
    - UniCL (Yang et al., CVPR 2022, arXiv 2204.03610) and FLAIR (Silva-Rodriguez et al., Medical Image Analysis 2025,
      arXiv 2308.07898): `targets` of `same_class`, 1 for all pairs that share a class or a description.
    - SupCon (Khosla et al., NeurIPS 2020, arXiv 2004.11362, its L_out): the same targets with `one` as `other` and
      `without_self`; both halves of the mean are then equal.
    - SigLIP (Zhai et al., ICCV 2023, arXiv 2303.15343): `sigmoid` with a `bias`, each pair judged by itself.

    Args:
        one, other: `(B, D)` vectors of the same patients by two modalities, of unit length. Those of patients who are
            not `here` are not read.
        scale: s, a scalar above zero, one over the temperature.
        here: `(B,)` bool, the patients who have both; None: all.
        targets: `(B, B)`, at least 0, how far row i of `one` and row j of `other` belong together; None: the identity.
            With softmax each row, and each column, is divided by its sum; one without any positive has no part.
        sigmoid: judge each pair alone instead of among the others.
        bias: scalar added to the logits of `sigmoid`; None: zero.
        without_self: leave the pairs (i, i) out of everything, for two views that are one.

    Raises:
        ValueError: the shapes do not fit.
    """
    if one.shape != other.shape or one.ndim != 2:
        raise ValueError(f"vectors {(*one.shape,)} and {(*other.shape,)} do not fit: both are (B, D)")
    if targets is not None and targets.shape != (len(one), len(one)):
        raise ValueError(f"targets are {(*targets.shape,)}, and there are {len(one)} patients")
    rows = torch.arange(len(one), device=one.device) if here is None else torch.nonzero(here)[:, 0]
    if not len(rows):
        return (one[rows].sum() + other[rows].sum()) * scale
    logits = scale * one[rows] @ other[rows].T  # (n, n)
    same = torch.eye(len(rows), dtype=torch.bool, device=one.device)
    wanted = same.to(logits) if targets is None else targets.to(logits)[rows][:, rows]
    if without_self:
        wanted = wanted.masked_fill(same, 0.0)
    if sigmoid:
        judged = logits if bias is None else logits + bias
        each = functional.binary_cross_entropy_with_logits(judged, wanted, reduction="none")
        return (each.masked_fill(same, 0.0) if without_self else each).sum() / len(rows)
    if without_self:
        logits = logits.masked_fill(same, -torch.inf) if len(rows) > 1 else logits * 0.0
    return contrast_of(logits, wanted)


def contrast_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute `1/2 (H(T, softmax_j z) + H(T', softmax_i z))` of logits, a finite scalar: `contrast` on any two sets.

    With one positive in each row and column it is InfoNCE, with several the mean over them, as in UniCL and DeViDe.

    Args:
        logits: `(B, P)`, minus infinity where a pair is left out.
        targets: `(B, P)`, at least 0; each row, and each column, is divided by its sum, and one of zeros has no part.
    """
    return (_one_way(logits, targets) + _one_way(logits.T, targets.T)) / 2


def same_class(codes: Tensor) -> Tensor:
    """Return the targets `(B, B)` float32 of UniCL: 1 where two patients share a class; an unknown one shares none.

    Args:
        codes: `(B,)` class codes; NaN or negative if unknown, and then only the patient's own pair is positive.
    """
    known = codes >= 0
    same = (codes[:, None] == codes[None, :]) & known[:, None] & known[None, :]
    return (same | torch.eye(len(codes), dtype=torch.bool, device=codes.device)).float()


def pairwise(vectors: Tensor, present: Tensor, scale: Tensor) -> Tensor:
    """Sum CLIP's loss over all pairs of modalities: "pairwise CLIP", a finite scalar.

    Args:
        vectors: `(B, M, D)` unit vectors, modalities in any order; those of absent ones are not read.
        present: `(B, M)` bool. A patient takes part in the pairs of which both are present.
        scale: scalar above zero, shared by the pairs.
    """
    terms = [
        contrast(vectors[:, a], vectors[:, b], scale, here=present[:, a] & present[:, b])
        for a in range(vectors.shape[1])
        for b in range(a + 1, vectors.shape[1])
    ]
    return torch.stack(terms).sum() if terms else vectors[:0].sum() * scale


def _one_way(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean over the rows that have a positive of their cross entropy with the row's targets, divided by their sum."""
    total = wanted.sum(1)
    some = total > 0
    if not bool(some.any()):
        return torch.where(torch.isfinite(logits), logits, 0.0).sum() * 0.0
    said = functional.log_softmax(logits[some], 1)
    kept = torch.where(wanted[some] > 0, said, 0.0)  # a pair that is left out has minus infinity here
    return -((kept * wanted[some]).sum(1) / total[some]).mean()
