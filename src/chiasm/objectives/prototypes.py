"""Styles of two modalities compared by their shares of common prototypes (MIRROR, arXiv 2503.00374)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def symmetric_divergence(one: Tensor, other: Tensor) -> Tensor:
    """Mean over the patients of `1/2 (KL(p || q) + KL(q || p))`, p and q the softmax of logits `(B, K)`.

    Zero without patients.
    """
    log_p, log_q = functional.log_softmax(one, 1), functional.log_softmax(other, 1)
    each = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1) / 2
    return each.sum() / max(len(each), 1)


def standard_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Mean over the patients of `KL(N(mean, exp(log_variance)) || N(0, 1))`, summed over the entries; zero of none.

    `1/2 sum_k (mean_k^2 + exp(v_k) - 1 - v_k)`, of `(B, D)` each.
    """
    each = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
    return each.sum() / max(len(each), 1)
