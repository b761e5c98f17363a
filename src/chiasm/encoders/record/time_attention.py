"""Time attention: interpolates irregularly timed observations at reference times."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

HARMONICS = 32


class TimeAttention(nn.Module):
    """Attention over time that gives the value and evidence of each group of observations at the reference times.

    A time is embedded by sines and cosines of the odd harmonics of a half period `reach`, with amplitudes `a_k`:

        s(r, t) = q(r) . k(t) = sum_k a_k cos(w_k (r - t)),   w_k = k pi / reach,   a_k = 4 reach / (pi^2 window k^2)
        value(r) = sum_i softmax_i(s(r, t_i)) x_i             over the observed i of a group
        evidence(r) = log(1 + sum_i exp(s(r, t_i) - s(r, r)))

    The amplitudes are those of a triangle wave, so that `s` falls by one per `window` hours, strictly up to `reach`:
    untrained, the attention is an exponential window. It depends on time differences only. Unobserved entries do not
    affect the output and have zero gradient.

    Source: mTAND, Shukla and Marlin, ICLR 2021 (arXiv 2101.10318, equations 2 to 4); the evidence is the intensity of
    their interpolation networks, ICLR 2019 (arXiv 1909.07782). Deviations: fixed frequencies and amplitudes unless
    `learnable`, in place of a learned embedding with a linear term, which a shift of time would change; one head.

    Args:
        reach: largest distance between a reference and an observation, in hours.
        window: decay constant of the untrained attention, in hours.
        learnable: make frequencies and amplitudes parameters; otherwise buffers.
    """

    frequencies: Tensor
    log_amplitudes: Tensor

    def __init__(self, reach: float, window: float, learnable: bool = False) -> None:
        super().__init__()
        odd = torch.arange(1, 2 * HARMONICS, 2, dtype=torch.float64)
        frequencies = odd * math.pi / reach
        log_amplitudes = torch.log(4 * reach / (math.pi**2 * window * odd**2))
        for name, start in (("frequencies", frequencies), ("log_amplitudes", log_amplitudes)):
            if learnable:
                self.register_parameter(name, nn.Parameter(start))
            else:
                self.register_buffer(name, start)

    def embed(self, hours: Tensor) -> Tensor:
        """Embed times `(N,)` as `(N, 2 x harmonics)`."""
        phase = hours[:, None].to(self.frequencies) * self.frequencies
        size = torch.exp(self.log_amplitudes / 2)
        return torch.cat([torch.cos(phase) * size, torch.sin(phase) * size], dim=1)

    def forward(
        self, hours: Tensor, values: Tensor, observed: Tensor, group: Tensor, groups: int, references: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute value and evidence per group, in time linear in the number of concatenated observations.

        Args:
            hours, values: `(N,)` float; unobserved entries are never read.
            observed: `(N,)` bool.
            group: `(N,)` int64 below `groups`: the patient and the code of an observation.
            references: `(R,)` hours.

        Returns:
            Value, zero for a group without observations, and evidence: `(groups, R)` float64 each.
        """
        nothing = self.frequencies.new_zeros(())
        hours = torch.where(observed, hours.to(nothing), nothing)
        values = torch.where(observed, values.to(nothing), nothing)
        top = torch.exp(self.log_amplitudes).sum()  # s(r, r)
        scores = self.embed(hours) @ self.embed(references).T - top  # (N, R), at most 0
        scores = torch.where(observed[:, None], scores, -torch.inf)
        index = group[:, None].expand_as(scores)
        best = scores.new_full((groups, len(references)), -torch.inf).scatter_reduce(0, index, scores.detach(), "amax")
        best = torch.where(torch.isfinite(best), best, nothing)
        weights = torch.exp(scores - best[group])
        empty = scores.new_zeros((groups, len(references)))
        total = empty.index_add(0, group, weights)
        value = empty.index_add(0, group, weights * values[:, None]) / torch.where(total > 0, total, total + 1)
        return value, torch.log1p(total * torch.exp(best))
