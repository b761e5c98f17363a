"""Queue consistency: two modalities of a patient should be alike to the same patients seen before."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def queue_consistency(one: Tensor, other: Tensor, queue: Tensor, temperature: float = 0.1) -> Tensor:
    """Return the mean of `KL(softmax(cos(a, Q) / tau) || softmax(cos(b, Q) / tau))`, a scalar.

    Zero if and only if both sides have the same profile of similarities to the queue; zero for nobody, or an empty
    queue. The queue has no gradient: it holds what earlier steps said.

    Source: BioD2C, Ji et al., arXiv 2503.02476, the soft loss of fused image and text by a queue of texts. Deviation:
    its released code lets the gradient into the queue.

    Args:
        one, other: a and b, `(B, D)`, embeddings of the same patients.
        queue: Q, `(N, D)`, embeddings of patients before.
        temperature: tau.
    """
    if not len(one) or not len(queue):
        return one.sum() * 0.0
    past = functional.normalize(queue.detach(), dim=1)
    profiles = [torch.log_softmax(functional.normalize(own, dim=1) @ past.T / temperature, 1) for own in (other, one)]
    return functional.kl_div(profiles[0], profiles[1], reduction="batchmean", log_target=True)
