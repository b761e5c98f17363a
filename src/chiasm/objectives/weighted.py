"""Cross entropy with a weight for each class, so that a rare class counts as much as a common one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def balanced_weights(codes: Tensor, classes: int) -> Tensor:
    """`w_k = n / (K' n_k)`, `(K,)` float64; 0 for a class without a row.

    `n` counts the rows with a label and `K'` the classes with a row: scikit-learn's `class_weight="balanced"` (King and
    Zeng, Political Analysis 2001, doi:10.1093/oxfordjournals.pan.a004868). Compute it on training rows.

    Args:
        codes: `(n,)` class codes, an integer or a float tensor; NaN or below 0 where the label is missing.
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
    """`1/n Σ_i w_{y_i} (-log softmax(logits_i)_{y_i})` over the n rows with a label; zero, with zero gradient, if none.

    With `balanced_weights` of the training rows this is the loss that scikit-learn's logistic regression minimises
    with `class_weight="balanced"`, and its mean over batches is the one over all rows.

    Args:
        logits: `(B, K)`; of a row without a label anything.
        codes: `(B,)`, as above.
        weights: `(K,)`.

    Deviation: `torch.nn.functional.cross_entropy(weight=)` divides by the weights of the batch's own rows, by which a
    batch of one class, or of one patient, loses its weight.
    """
    known = _labelled(codes)
    if not bool(known.any()):
        return torch.where(torch.isfinite(logits), logits, 0.0).sum() * 0.0
    losses = functional.cross_entropy(logits[known], codes[known].long(), weights.to(logits), reduction="sum")
    return losses / known.sum()


def balanced_label_weights(values: Tensor) -> Tensor:
    """`(2, K)` float64, `balanced_weights` of "no" and "yes" of each label of `values` `(n, K)`, NaN if missing."""
    columns = [balanced_weights(column, 2) for column in values.T]
    return torch.stack(columns, 1) if columns else torch.zeros(2, 0, dtype=torch.float64)


def weighted_label_entropy(logits: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """The mean over the known cells of `w` times the binary cross entropy; zero, with zero gradient, if none is known.

    Args:
        logits: `(B, K)`.
        values: `(B, K)` 0 or 1, NaN where a label is missing.
        weights: `(2, K)`, as `balanced_label_weights` gives them.
    """
    known = ~torch.isnan(values)
    if not bool(known.any()):
        return torch.where(torch.isfinite(logits), logits, 0.0).sum() * 0.0
    each = torch.where(values > 0.5, weights[1].to(logits), weights[0].to(logits))[known]
    losses = functional.binary_cross_entropy_with_logits(logits[known], values[known].to(logits), reduction="none")
    return (each * losses).mean()


def _labelled(codes: Tensor) -> Tensor:
    return codes >= 0  # NaN is not
