"""Product of Gaussian experts: fuses the means and variances of any subset of modalities (Wu and Goodman 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def product_of_experts(
    means: Sequence[Tensor], log_variances: Sequence[Tensor], weights: Tensor, *, prior: bool = True
) -> tuple[Tensor, Tensor]:
    """Compute mean and log variance of the product `prod_m N(mu_m, var_m)^w_m`, times `N(0, 1)` if `prior`.

    `1 / var = sum_m w_m / var_m (+ 1)`, `mu = var sum_m w_m mu_m / var_m`; equation 2 of Multimodal Generative Models
    for Scalable Weakly-Supervised Learning, NeurIPS 2018, arXiv 1802.05335. Computed with logarithms, so that a
    precision of e^1000 does not overflow.

    Args:
        means, log_variances: M tensors each, `(B, ...)`, all of one shape.
        weights: `(B, M)` >= 0; zero, or False, for an absent modality, whose values are not read.
        prior: include a standard normal expert, which is always present.

    Raises:
        ValueError: differing shapes, a weight that is negative or not finite, a patient with no modality and no prior.
    """
    if not means or len(means) != len(log_variances):
        raise ValueError(f"{len(means)} means and {len(log_variances)} log variances: give as many, and one or more")
    shapes = {tuple(value.shape) for value in (*means, *log_variances)}
    if len(shapes) != 1:
        raise ValueError(f"means and log variances have one shape, these have {sorted(shapes)}")
    if weights.shape != (len(means[0]), len(means)):
        raise ValueError(f"weights must be (B, M) = {(len(means[0]), len(means))}, not {tuple(weights.shape)}")
    share = weights.to(means[0].dtype)
    if not bool(torch.isfinite(share).all()) or bool((share < 0).any()):
        raise ValueError("weights must be finite and not negative")
    if not prior and bool((share.sum(1) == 0).any()):
        raise ValueError("a patient without a modality has no product: keep the prior, or leave the patient out")
    share = share.T.reshape(len(means), -1, *[1] * (means[0].dim() - 1))  # (M, B, 1, ...)
    zero, one = share.new_zeros(()), share.new_ones(())
    here = share > 0
    mean = torch.where(here, torch.stack(list(means)), zero)  # (M, B, ...)
    log_variance = torch.where(here, torch.stack(list(log_variances)), zero)
    precision = torch.where(here, torch.where(here, share, one).log() - log_variance, -torch.inf)
    if prior:
        mean = torch.cat([mean, torch.zeros_like(mean[:1])])
        precision = torch.cat([precision, torch.zeros_like(precision[:1])])
    return (torch.softmax(precision, 0) * mean).sum(0), -torch.logsumexp(precision, 0)
