"""What joins images with what is written of their labels: soft targets of labels, sentences that are drawn, patches."""

from __future__ import annotations

import torch
from torch import Tensor


def same_labels(labels: Tensor) -> Tensor:
    """Return the targets `(B, B)` of UniCL: 1 where two patients have the same set of labels, their own pair always.

    Those without any label share it with nobody. For one label a patient it is `contrastive.same_class`.

    Args:
        labels: `(B, K)`, 1 for each label that a patient has, else 0.
    """
    differ = (labels[:, None] - labels[None, :]).abs().sum(2)
    some = labels.sum(1) > 0
    same = (differ == 0) & some[:, None] & some[None, :]
    return (same | torch.eye(len(labels), dtype=torch.bool, device=labels.device)).to(labels)


def co_occurrence(labels: Tensor) -> Tensor:
    """Return the targets `(B, B)` of FLAIR: 1 where two patients share a label, their own pair always; symmetric.

    `contrast` divides each row by its sum, which is then the row-normalised matrix of the paper; its transpose has the
    columns divided by theirs, which is the same since the matrix is symmetric.

    Args:
        labels: `(B, K)`, as for `same_labels`.

    Source: Silva-Rodriguez et al., Medical Image Analysis 2025 (arXiv 2308.07898).
    """
    shared = labels @ labels.T > 0
    return (shared | torch.eye(len(labels), dtype=torch.bool, device=labels.device)).to(labels)


def drawn_sentences(labels: Tensor, owners: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw for each patient one of his labels that has a sentence, and one of its sentences; `(B,)` int64, -1 if none.

    Args:
        labels: `(B, K)`.
        owners: `(P,)` int64, the label of each sentence.
        generator: draws on the CPU; None: the global one.
    """
    counts = torch.bincount(owners.cpu(), minlength=labels.shape[1]).clamp_min(1).to(labels)
    weights = (labels / counts.to(labels.device))[:, owners]  # (B, P): every label as likely, whatever it has
    some = weights.sum(1) > 0
    drawn = torch.full((len(labels),), -1)
    if bool(some.any()):
        drawn[some.cpu()] = torch.multinomial(weights[some].cpu(), 1, generator=generator)[:, 0]
    return drawn.to(labels.device)


def max_similarity(patches: Tensor, seen: Tensor, words: Tensor, told: Tensor) -> Tensor:
    """Return how well each image shows each text, `(A, B)`: the mean over the text's tokens of its most similar patch.

        s_ab = mean over t of text b of max over p of image a of <patch_ap, token_bt>

    The late interaction of FILIP from text to image (Yao et al., ICLR 2022, arXiv 2111.07783), as DeViDe aligns patches
    and tokens; a text without a token, and an image without a patch, have zero.

    Args:
        patches: `(A, P, D)` unit vectors; seen: `(A, P)` bool.
        words: `(B, T, D)` unit vectors; told: `(B, T)` bool.
    """
    likeness = torch.einsum("apd,btd->abtp", patches, words)
    likeness = likeness.masked_fill(~seen[:, None, None, :], -1.0)
    best = torch.where(seen.any(1)[:, None, None], likeness.amax(3), 0.0)  # (A, B, T)
    counts = told.sum(1).clamp_min(1)
    return (best * told[None]).sum(2) / counts


def binned(values: Tensor, edges: Tensor) -> Tensor:
    """Return the bin of each value, `(B, C)`: how many of its column's edges lie at or below it, -1 where unknown.

    Args:
        values: `(B, C)`, NaN where a value is not known.
        edges: `(C, bins - 1)`, rising; equal edges make bins that nothing falls into.
    """
    codes = (values[:, :, None] >= edges[None]).sum(2)
    return torch.where(torch.isnan(values), -1, codes)
