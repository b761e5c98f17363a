"""Losses of two views of the same images: they agree, and by what they agree they do not all become one point."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.objectives.contrastive import contrast


def nt_xent(one: Tensor, other: Tensor, temperature: float = 0.5, joined: Tensor | None = None) -> Tensor:
    """Tell the other view of an image from all views of the others: NT-Xent of SimCLR, a scalar.

    `1 / 2B sum_i -log softmax_{j != i}(cos(z_i, z_j) / tau)_{i'}` over the 2 B views, i' the other view of i's image.

    Source: Chen et al., SimCLR (ICML 2020), arXiv 2002.05709, eq. 1.

    Args:
        one, other: `(B, D)` projections of both views, of any length.
        temperature: tau, above 0.
        joined: `(B, B)`, 1 where two images belong together, whose views are then all positive (SupCon, Khosla et al.,
            NeurIPS 2020, arXiv 2004.11362, L_out); None: each image alone.
    """
    views = functional.normalize(torch.cat([one, other]), dim=1)  # (2 B, D)
    own = torch.eye(len(one), device=one.device) if joined is None else joined
    pairs = own.repeat(2, 2)  # each view with itself too, which is left out
    return contrast(views, views, _scale(temperature, views), targets=pairs, without_self=True)


def queue_contrast(query: Tensor, key: Tensor, queue: Tensor, temperature: float = 0.2) -> Tensor:
    """Tell the key of an image's other view from keys of images before: InfoNCE of MoCo, a scalar.

    `mean_i -log (e_ii / (e_ii + sum_k exp(cos(q_i, k) / tau)))`, `e_ii = exp(cos(q_i, k_i) / tau)`, k over the queue;
    zero with an empty queue. Keys and queue have no gradient.

    Source: He et al., MoCo (CVPR 2020), arXiv 1911.05722, eq. 1 and algorithm 1.

    Args:
        query: `(B, D)` of the network that learns.
        key: `(B, D)` of the momentum network, of the other views.
        queue: `(N, D)` keys of earlier steps.
    """
    query, key, queue = (functional.normalize(own, dim=1) for own in (query, key.detach(), queue.detach()))
    own = (query * key).sum(1, keepdim=True)  # (B, 1)
    logits = torch.cat([own, query @ queue.T], 1) / temperature
    return functional.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=query.device))


def batch_contrast(query: Tensor, key: Tensor, temperature: float = 0.2) -> Tensor:
    """Tell the key of an image's other view from those of the same batch, a scalar: MoCo without a queue (MoCo v3).

    Keys have no gradient. Source: Chen et al. (ICCV 2021), arXiv 2104.02057, algorithm 1, without its factor 2 tau.
    """
    query, key = functional.normalize(query, dim=1), functional.normalize(key.detach(), dim=1)
    rows = torch.arange(len(query), device=query.device)
    return functional.cross_entropy(query @ key.T / temperature, rows)


def cosine_regression(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of unit vectors, `2 - 2 cos`, of a prediction from its target: BYOL's, a scalar in 0 to 4.

    The target has no gradient.

    Source: Grill et al., BYOL (NeurIPS 2020), arXiv 2006.07733, eq. 2; lightly's negative cosine is half of it less 1.
    """
    return 2.0 - 2.0 * functional.cosine_similarity(predicted, target.detach(), dim=1).mean()


def _scale(temperature: float, like: Tensor) -> Tensor:
    return torch.tensor(1.0 / temperature, dtype=like.dtype, device=like.device)
