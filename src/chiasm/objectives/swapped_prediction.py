"""Swapped prediction of SwAV: one view's code, of a partition into equal clusters, is told from another view."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def equal_partition(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Return codes `(B, K)`: each row sums to 1, and each column about to `B / K`, by Sinkhorn and Knopp's iterations.

    They approach the maximum of `sum(Q * scores) + epsilon H(Q)` among matrices with these sums, as the number of
    iterations grows. No gradient.

    Source: Caron et al., SwAV (NeurIPS 2020), arXiv 2006.09882, eq. 3 to 5 and its listing. Deviation: in logarithms,
    so that large scores neither overflow nor leave a row without any mass.

    Args:
        scores: `(B, K)`, products of unit vectors with unit prototypes.
        epsilon: above 0; a small one makes hard codes.
    """
    logs = scores.detach().double() / epsilon
    for _ in range(iterations):
        logs = logs - torch.logsumexp(logs, 0, keepdim=True)  # each prototype has the same mass
        logs = logs - torch.logsumexp(logs, 1, keepdim=True)  # each row has mass 1
    return logs.exp().to(scores.dtype)


def swapped_prediction(
    scores: Sequence[Tensor],
    coded: int = 2,
    *,
    queues: Sequence[Tensor] = (),
    temperature: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
) -> Tensor:
    """Compute the mean of `-sum_k q_a log softmax(scores_b / tau)` over coded views a and all other views b, a scalar.

    Source: as `equal_partition`, eq. 2. The codes have no gradient.

    Args:
        scores: of each view `(B, K)`, two views or more.
        coded: how many of the first views have codes.
        queues: of each coded view scores `(N, K)` of earlier images, which take part in the partition alone.

    Raises:
        ValueError: fewer views than are coded, or fewer than two, or queues of other views.
    """
    if not 0 < coded <= len(scores) or len(scores) < 2:
        raise ValueError(
            f"{coded} coded views of {len(scores)}: there are two views or more, and at least one is coded"
        )
    if queues and len(queues) != coded:
        raise ValueError(f"{len(queues)} queues do not fit {coded} coded views: each has one, or none has")
    said = [functional.log_softmax(own / temperature, 1) for own in scores]
    terms = []
    for a in range(coded):
        parts = torch.cat([scores[a], queues[a]]) if queues else scores[a]
        code = equal_partition(parts, epsilon, iterations)[: len(scores[a])]
        terms += [-(code * told).sum(1).mean() for b, told in enumerate(said) if b != a]
    return torch.stack(terms).mean()
