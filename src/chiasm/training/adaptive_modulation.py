"""Adaptive gradient modulation: what gains on the other modalities learns more slowly, by Shapley values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.training.alone import loss_of
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Computed, Objective
from chiasm.training.shapley import shapley_links

FURTHEST = 10.0  # between the losses of two modalities, so that the ratio is finite
LARGEST = 10.0  # coefficient


class AdaptiveModulation(Objective):
    """The head's loss, whose gradient through each modality's part of the link is scaled.

        link = sum_m phi_m,    d loss / d theta = sum_m k_m (d loss / d link) (d phi_m / d theta)
        k_m = exp(alpha (r*_m - r_m)),    r_m = exp(mean over m' of (s_m' - s_m))

    `phi` are `shapley_links`; `s_m` is the head's own loss of `phi_m`, cross entropy in the paper. `r*_m` is `r_m` of
    the mean losses of the steps before this one, so that one odd batch moves it little; in the first step `k_m` is one.
    A modality that is ahead by as much as it has been so far keeps its pace; one that gains learns more slowly. Where
    all `k_m` are one, losses and gradients are those of `Objective` to the last bit. Validation is the head's loss.

    Source: Li et al., ICCV 2023, sections 3.2 and 3.3. Deviations: `s_m` and `s_m'` are compared on the patients who
    have both and whose outcome counts; where there is none, and for who has one modality alone, `k_m` is one. It is 10
    at most, and gaps between losses count up to 10. Upon an offset each part is scored with the whole offset.

    Args:
        alpha: strength, 2.5 in the paper; 0: none.
        modalities: M.
    """

    def __init__(self, alpha: float, modalities: int) -> None:
        self.alpha = alpha
        self.mean, self.seen = np.zeros((modalities, modalities)), np.zeros((modalities, modalities), np.int64)

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Run the network on all coalitions of modalities, and compute the loss of the modulated link."""
        own, fused = network(batch.tokens, batch.present)
        if len(self.mean) > 1:
            parts = shapley_links(network, batch, own)
            several = batch.present.sum(1, keepdim=True) > 1
            for part, coefficient in zip(parts, self.coefficients(network, batch, parts.detach()), strict=True):
                own = own + (coefficient - 1.0) * torch.where(several, part - part.detach(), torch.zeros_like(part))
        link = own if batch.offset is None else own + batch.offset
        return Computed({**self.losses(network, batch, link, fused), **fused.losses}, link, fused)

    def coefficients(self, network: Network, batch: Batch, parts: Tensor) -> list[float]:
        """Return `k_m` of a step, and take its gaps into their means; `parts` is `(M, B, K)`."""
        now = gaps(network, batch, parts)
        measured = ~np.isnan(now)
        found = []
        for own, before, known in zip(now, self.mean, measured & (self.seen > 0), strict=True):
            ahead = float(ratio(own[known]) - ratio(before[known])) if known.any() else 0.0
            found.append(float(np.exp(min(-self.alpha * ahead, np.log(LARGEST)))))
        self.seen += measured
        self.mean += np.where(measured, now - self.mean, 0.0) / np.maximum(self.seen, 1)
        return found

    def state(self) -> Any:
        """Return the mean gaps, and over how many steps they are."""
        return {"mean": self.mean.copy(), "seen": self.seen.copy()}

    def restore(self, state: Any) -> None:
        """Restore them."""
        self.mean, self.seen = np.array(state["mean"]), np.array(state["seen"])


def ratio(gaps: NDArray[np.float64]) -> float:
    """Return `r_m`, the exponential of the mean gap to the other modalities: above one where m predicts better."""
    return float(np.exp(np.mean(gaps)))


def gaps(network: Network, batch: Batch, parts: Tensor) -> NDArray[np.float64]:
    """Return `s_m' - s_m` of each pair, `(M, M)`, on the patients who have both; NaN where nothing can be compared.

    Args:
        parts: `(M, B, K)`, each modality's part of the link.
    """
    parts = parts if batch.offset is None else parts + batch.offset
    found = np.full((len(parts), len(parts)), np.nan)
    with torch.no_grad():
        for m in range(len(parts)):
            for other in range(m + 1, len(parts)):
                both = batch.present[:, m] & batch.present[:, other]
                value, event = batch.target.value[both], batch.target.event[both]
                if bool(both.any()) and not bool(network.head.losses(parts[m][both], value, event).isnan().all()):
                    own, theirs = (float(loss_of(network, parts[k], batch.target, both)) for k in (m, other))
                    found[m, other] = np.clip(theirs - own, -FURTHEST, FURTHEST)
                    found[other, m] = -found[m, other]
    return found
