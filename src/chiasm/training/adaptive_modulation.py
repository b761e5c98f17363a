"""Adaptive gradient modulation: what pulls ahead of the other modalities learns more slowly, by Shapley values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
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

    `phi` are `shapley_links`; `s_m` is the head's own loss of `phi_m`, cross entropy in the paper; `r*_m` the mean of
    `r_m` over the steps so far, this one included. Where all `k_m` are one, losses and gradients are those of
    `Objective` to the last bit. Validation is the head's loss.

    Source: Li et al., ICCV 2023, sections 3.2 and 3.3. Deviations: `s_m` and `s_m'` are compared on the patients who
    have both, and a modality that nobody has together with another keeps `k_m = 1`; `k_m` is 10 at most. Upon an offset
    each part is scored with the whole offset.

    Args:
        alpha: strength, 2.5 in the paper; 0: none.
        modalities: M.
    """

    def __init__(self, alpha: float, modalities: int) -> None:
        self.alpha = alpha
        self.mean, self.seen = np.ones(modalities), np.zeros(modalities, np.int64)

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Run the network on all coalitions of modalities, and compute the loss of the modulated link."""
        own, fused = network(batch.tokens, batch.present)
        if len(self.mean) > 1:
            parts = shapley_links(network, batch, own)
            for part, coefficient in zip(parts, self.coefficients(network, batch, parts.detach()), strict=True):
                own = own + (coefficient - 1.0) * (part - part.detach())
        link = own if batch.offset is None else own + batch.offset
        return Computed({**self.losses(network, batch, link, fused), **fused.losses}, link, fused)

    def coefficients(self, network: Network, batch: Batch, parts: Tensor) -> list[float]:
        """Return `k_m` of a step, and take its ratios into their means; `parts` is `(M, B, K)`."""
        found = []
        for m, ratio in enumerate(ratios(network, batch, parts)):
            if ratio is not None:
                self.seen[m] += 1
                self.mean[m] += (ratio - self.mean[m]) / self.seen[m]
            ahead = 0.0 if ratio is None else ratio - self.mean[m]
            found.append(float(np.exp(min(-self.alpha * ahead, np.log(LARGEST)))))
        return found

    def state(self) -> Any:
        """Return the mean ratios, and over how many steps they are."""
        return {"mean": self.mean.copy(), "seen": self.seen.copy()}

    def restore(self, state: Any) -> None:
        """Restore them."""
        self.mean, self.seen = np.array(state["mean"]), np.array(state["seen"])


def ratios(network: Network, batch: Batch, parts: Tensor) -> list[float | None]:
    """Return `r_m` of each modality, above one where it predicts better than the others; None without another.

    Args:
        parts: `(M, B, K)`, each modality's part of the link.
    """
    parts = parts if batch.offset is None else parts + batch.offset
    found: list[float | None] = []
    with torch.no_grad():
        for m in range(len(parts)):
            gaps = []
            for other in range(len(parts)):
                both = batch.present[:, m] & batch.present[:, other]
                if other != m and bool(both.any()):
                    own, theirs = (float(loss_of(network, parts[k], batch.target, both)) for k in (m, other))
                    gaps.append(theirs - own)
            gap = float(np.clip(np.mean(gaps), -FURTHEST, FURTHEST)) if gaps else None
            found.append(None if gap is None else float(np.exp(gap)))
    return found
