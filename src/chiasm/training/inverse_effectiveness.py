"""Inverse effectiveness: the fusion layer learns faster the weaker its modalities are by themselves."""

from __future__ import annotations

import math

import torch

from chiasm.training.alone import alone_links
from chiasm.training.phase import Hook, Step


class InverseEffectiveness(Hook):
    """Scales the gradients of the fusion layer, and of nothing else, by `k = 1 + strength tanh(1 - rho)`.

        rho = sum_m sum_b p_bm / sum_m sum_b p_b,    over the patients b who have m and another modality

    `p_b` is the likelihood of a patient's outcome by the network and `p_bm` by the head of m alone: the probability of
    the true class; `exp(-loss)` of labels and numbers; of survival the probability that the patient with an event is
    the one among the patients b at risk; who is censored counts only there, and the latest events, with few left at
    risk, count most. For patients who have all modalities rho is the paper's `mean_m(s_m) / s`, the sums over the
    batch. In a batch without such patients nothing is changed.

    Source: IEMF, arXiv 2505.10176. Deviation: `strength` is ours; at 0, and without noise, nothing is changed. The
    noise that the released code adds to the scaled gradient, `N(0, std(g)^2)`, is off unless asked for, because it has
    an effect of its own.

    Args:
        layer: name of the fusion layer in the network, as in "fusion.fuse".
        strength: 1 in the paper; above 1 the layer could go uphill.
        noise: add the noise.
    """

    def __init__(self, layer: str, strength: float = 1.0, noise: bool = False) -> None:
        self.layer, self.strength, self.noise = layer, strength, noise

    def __call__(self, step: Step) -> None:
        """Scale the gradients."""
        rho = effectiveness(step)
        if rho is None:
            return
        coefficient = effectiveness_coefficient(rho, self.strength)
        for name, parameter in step.network.named_parameters():
            if name.startswith(f"{self.layer}.") and parameter.grad is not None:
                spread = parameter.grad.std(correction=0)
                parameter.grad.mul_(coefficient)
                if self.noise:
                    parameter.grad.add_(torch.randn_like(parameter.grad) * spread)


def effectiveness_coefficient(rho: float, strength: float) -> float:
    """Return `1 + strength tanh(1 - rho)`, which falls with rho through one at rho = 1 towards `1 - strength`."""
    return 1.0 + strength * math.tanh(1.0 - rho)


def effectiveness(step: Step) -> float | None:
    """Return rho of a step; None if nobody has two modalities and an outcome that counts, or the network gives up."""
    batch, head = step.batch, step.network.head
    alone, whole = 0.0, 0.0
    with torch.no_grad():
        for m, own in enumerate(alone_links(batch, step.computed.fused).values()):
            rows = batch.present[:, m] & (batch.present.sum(1) > 1)
            if bool(rows.any()):
                outcome = batch.target.value[rows], batch.target.event[rows]
                alone += float(torch.exp(-head.losses(own[rows], *outcome)).nansum())
                whole += float(torch.exp(-head.losses(step.computed.link[rows], *outcome)).nansum())
    return alone / whole if whole > 0.0 else None
