"""Class-weighted cross entropy, so that a rare class counts as much as a common one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def balanced_weights(codes: Tensor, classes: int) -> Tensor:
    """Compute balanced class weights `w_k = n / (K' n_k)`, `(K,)` float64; 0 for a class without a row.

    `n` counts the rows with a label and `K'` the classes with a row: scikit-learn's `class_weight="balanced"` (King and
    Zeng, Political Analysis 2001, doi:10.1093/oxfordjournals.pan.a004868). Compute it on training rows.

    Args:
        codes: `(n,)` class codes, an integer or a float tensor; NaN or negative for a missing label.
        classes: K.

    Raises:
        ValueError: a code of K or more.
    """
    known = codes[_labelled(codes)].long()
    if len(known) and int(known.max()) >= classes:
        raise ValueError(f"a class code lies outside the {classes} classes")
    counts = torch.bincount(known, minlength=classes).double()
    return torch.where(counts > 0, len(known) / (counts.count_nonzero() * counts).clamp_min(1), 0.0)


def weighted_cross_entropy(logits: Tensor, codes: Tensor, weights: Tensor) -> Tensor:
    """Compute the weighted cross entropy `1/n Σ_i w_{y_i} (-log softmax(logits_i)_{y_i})` over the n labelled rows.

    It is zero, with zero gradient, without labelled rows. With `balanced_weights` of the training rows this is the loss
    that scikit-learn's logistic regression minimises with `class_weight="balanced"`, and its mean over batches is the
    one over all rows.

    Args:
        logits: `(B, K)`; any value for a row without a label.
        codes: `(B,)`, as in `balanced_weights`.
        weights: `(K,)`.

    Deviation: `torch.nn.functional.cross_entropy(weight=)` divides by the weights of the batch's own rows, so that the
    weight cancels in a batch of one class or one patient.
    """
    known = _labelled(codes)
    if not bool(known.any()):
        return torch.where(torch.isfinite(logits), logits, 0.0).sum() * 0.0
    losses = functional.cross_entropy(logits[known], codes[known].long(), weights.to(logits), reduction="sum")
    return losses / known.sum()


def balanced_label_weights(values: Tensor) -> Tensor:
    """Compute `balanced_weights` of "no" and "yes" per label, `(2, K)` float64; `values` `(n, K)`, NaN if missing."""
    columns = [balanced_weights(column, 2) for column in values.T]
    return torch.stack(columns, 1) if columns else torch.zeros(2, 0, dtype=torch.float64)


def weighted_label_entropy(logits: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """Average the weighted binary cross entropy over the known cells; zero, with zero gradient, if none is known.

    Args:
        logits: `(B, K)`.
        values: `(B, K)` 0 or 1, NaN for a missing label.
        weights: `(2, K)`, as from `balanced_label_weights`.
    """
    known = ~torch.isnan(values)
    if not bool(known.any()):
        return torch.where(torch.isfinite(logits), logits, 0.0).sum() * 0.0
    each = torch.where(values > 0.5, weights[1].to(logits), weights[0].to(logits))[known]
    losses = functional.binary_cross_entropy_with_logits(logits[known], values[known].to(logits), reduction="none")
    return (each * losses).mean()


def _labelled(codes: Tensor) -> Tensor:
    return codes >= 0  # False for NaN
