"""Shapley values of modalities: which part of a patient's link each of them brings, exact over all coalitions."""

from __future__ import annotations

from math import factorial

import torch
from torch import Tensor

from chiasm.training.examples import Batch
from chiasm.training.network import Network, in_evaluation

MOST_MODALITIES = 6  # 64 coalitions, each of which runs the network once


def shapley_links(network: Network, batch: Batch, link: Tensor) -> Tensor:
    """Split each patient's link among the modalities present, `(M, B, K)`, with gradients.

        phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! (f(S + m) - f(S)) + f(none) / |P|,    m in P

    `f(S)` is the network's link of the patient when only S is present, and P what the patient has; an absent modality
    brings nothing, so that the sum over all coalitions is that over those of P. `sum_m phi_m` is `link` (completeness).
    The muted passes run in evaluation mode, so that coalitions differ by their modalities alone; only the whole, which
    is the link that is trained, has dropout.

    Source: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient Modulation", ICCV 2023, whose
    `phi_a = (f(a, v) - f(0, v) + f(a, 0)) / 2` for two modalities this is; zeros there are absence here.

    Args:
        network: fusion and head.
        batch: the patients, each with a modality or more.
        link: `(B, K)`, the network's link of the batch as it is trained, without an offset.

    Raises:
        ValueError: more than six modalities.
    """
    modalities = batch.present.shape[1]
    if modalities > MOST_MODALITIES:
        raise ValueError(f"{modalities} modalities have 2^{modalities} coalitions: choose {MOST_MODALITIES} at most")
    values = []
    with in_evaluation(network):
        for coalition in range(2**modalities):
            inside = torch.tensor([bool(coalition >> m & 1) for m in range(modalities)], device=batch.present.device)
            whole = ~(batch.present & ~inside).any(1)  # nothing of the patient is muted
            if bool(whole.all()):
                values.append(link)
                continue
            muted, _ = network(batch.tokens, batch.present & inside)
            values.append(torch.where(whole[:, None], link, muted))
    count = batch.present.sum(1, keepdim=True).clamp_min(1)
    shares = []
    for m in range(modalities):
        share = values[0] / count
        for coalition in range(2**modalities):
            if not coalition >> m & 1:
                size = coalition.bit_count()
                weight = factorial(size) * factorial(modalities - size - 1) / factorial(modalities)
                share = share + weight * (values[coalition | 1 << m] - values[coalition])
        shares.append(torch.where(batch.present[:, [m]], share, torch.zeros((), dtype=share.dtype)))
    return torch.stack(shares)
