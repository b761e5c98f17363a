"""Irregular records as a series at reference times: learned time attention, the last values known, and a gate of both.

Zhang et al., Improving Medical Predictions by Irregular Multimodal Electronic Health Records Modeling, ICML 2023, arXiv
2210.12156; the attention is mTAND, Shukla and Marlin, ICLR 2021, arXiv 2101.10318.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

HARMONICS = 16
LEAST = math.exp(-60)  # a sum of weights from which it can be divided in single precision
SERIES = ("gated", "irregular", "imputed")


class HeadsOfTime(nn.Module):
    """Time attention of several heads, on columns that are each observed at times of their own.

        s_h(r, t) = sum_k a_hk cos(w_hk (r - t))
        x_h(r, c) = sum_i m_ic exp(s_h(r, t_i)) x_ic / sum_i m_ic exp(s_h(r, t_i))
        share_h(r, c) = sum_i m_ic exp(s_h(r, t_i)) / sum_i exp(s_h(r, t_i))

    It depends on differences of time alone, and on entries with `m_ic` alone, however far from a reference they lie and
    whatever other columns have near it. The learned amplitudes and frequencies
    start as a triangle wave, so that `s_h` falls by one per window: `window` hours in the first head, twice as many in
    each one after it.

    Deviation from mTAND: sines and cosines of the same frequency in pairs, without a linear term and without maps of
    queries and keys, so that a shift of all times changes nothing.

    Args:
        heads: H.
        reach: hours between the furthest reference and observation.
        window: hours, of the first head.
    """

    def __init__(self, heads: int, reach: float, window: float) -> None:
        super().__init__()
        odd = torch.arange(1, 2 * HARMONICS, 2, dtype=torch.float32)
        windows = window * 2.0 ** torch.arange(heads, dtype=torch.float32)
        self.frequencies = nn.Parameter((odd * math.pi / reach).expand(heads, -1).clone())
        self.log_amplitudes = nn.Parameter(torch.log(4 * reach / (math.pi**2 * windows[:, None] * odd**2)))

    def forward(self, hours: Tensor, values: Tensor, observed: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Interpolate at the references; return values `(B, H, R, C)` and shares `(B, H, R, F)`, zero where nothing is.

        Args:
            hours: `(B, T)`; those of a token that observed nothing are never read.
            values: `(B, T, C)`, zero where it is not observed.
            observed: `(B, T, F)` bool: which of the C columns have a value, then anything else that has a share alone.
            references: `(R,)` hours.
        """
        real = observed.any(2)[:, None, None, :]  # (B, 1, 1, T)
        queries, keys = (self._waves(own - references[0]) for own in (references[None], hours))  # from one origin
        scores = (queries @ keys.transpose(-1, -2)).masked_fill(~real, -torch.inf)  # (B, H, R, T)
        best = scores.detach().amax(-1, keepdim=True)
        weights = (scores - torch.where(torch.isfinite(best), best, 0.0)).exp()
        total, all_tokens = weights @ observed[:, None].to(values.dtype), weights.sum(-1, keepdim=True)
        share = total / torch.where(all_tokens > 0, all_tokens, torch.ones_like(all_tokens))  # (B, H, R, F)
        there, total = observed[..., : values.shape[2]], total[..., : values.shape[2]]
        value = (weights @ values[:, None]) / torch.where(total > LEAST, total, torch.ones_like(total))
        far = (total.detach().amin(2) <= LEAST) & there.any(1)[:, None]  # (B, H, C): from the best token of any column
        if bool(far.any()):
            b, h, c = far.nonzero(as_tuple=True)
            own = there[b, :, c][:, None]  # (K, 1, T)
            shares = scores[b, h].masked_fill(~own, -torch.inf).softmax(-1)  # (K, R, T)
            exact = (shares @ values[b, :, c][:, :, None])[..., 0]
            value = value.transpose(2, 3).index_put((b, h, c), exact).transpose(2, 3)
        return value, share

    def _waves(self, hours: Tensor) -> Tensor:
        """Return cosines and sines of times `(B, T)`, whose products are those of differences: `(B, H, T, 2 K)`."""
        angle = hours[:, None, :, None] * self.frequencies[:, None, :]
        size = (self.log_amplitudes / 2).exp()[:, None, :]
        return torch.cat([torch.cos(angle) * size, torch.sin(angle) * size], -1)


def last_known(hours: Tensor, values: Tensor, observed: Tensor, references: Tensor) -> Tensor:
    """Return each column's last value observed up to each reference, `(B, R, C)`; zero before the first.

    Args:
        hours: `(B, T)`; those of a token that observed nothing are never read.
        values, observed: `(B, T, C)`.
        references: `(R,)` hours.
    """
    when = torch.where(observed.any(2), hours, torch.inf)
    order = when.argsort(dim=1, stable=True)
    when = when.gather(1, order)
    columns = order[..., None].expand_as(values)
    values, observed = values.gather(1, columns), observed.gather(1, columns)
    place = torch.arange(1, values.shape[1] + 1, device=values.device)[None, :, None]
    latest = torch.where(observed, place, 0).cummax(1).values  # (B, T, C): 1 + the place of the last one, 0 for none
    upto = torch.searchsorted(when, references.to(when).expand(when.shape[0], -1).contiguous(), right=True)  # (B, R)
    latest = nn.functional.pad(latest, (0, 0, 1, 0)).gather(1, upto[..., None].expand(-1, -1, values.shape[2]))
    return nn.functional.pad(values, (0, 0, 1, 0)).gather(1, latest)


class GatedSeries(nn.Module):
    """UTDE: a timed record at R references, `z = g * z_irr + (1 - g) * z_reg`, `g = sigmoid(MLP [z_irr; z_reg])`.

    A token holds values of C columns, then 1 or 0 for each column that has a value at its time, then 1 or 0 for each
    that was observed, with a value or without. `z_irr` is a linear map of `HeadsOfTime` on the values alone, and of the
    shares of tokens about a reference that have a value of each column and that observed it; `z_reg` is a convolution
    over the references, of the last known values, of whether there are any, and of whether the column was observed.
    The gate is per reference and channel. Hours further than one span before or after the grid are at that distance for
    the attention, and at their own for what is known last.

    Deviations: the shares, where the released code interpolates the mask by itself, which is 1 for every column that
    was ever observed; a vector for each reference is added.

    Args:
        columns: C; tokens are three times as wide.
        width: D.
        grid: `(R,)` reference hours, ascending.
        heads: of the time attention.
        series: gated, or irregular or imputed: one of the two alone.
    """

    grid: Tensor

    def __init__(self, columns: int, width: int, grid: Tensor, heads: int, dropout: float, series: str) -> None:
        super().__init__()
        span = float(grid[-1] - grid[0]) or 1.0
        self.columns, self.series, self.span = columns, series, span
        self.register_buffer("grid", grid.float(), persistent=False)
        if series != "imputed":
            self.attention = HeadsOfTime(heads, 3 * span, span / max(1, len(grid) - 1))
            self.irregular = nn.Linear(3 * heads * columns, width)
        if series != "irregular":
            self.imputed = nn.Conv1d(3 * columns, width, 3, padding=1)
        if series == "gated":
            self.gate = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width), nn.Sigmoid())
        self.places = nn.Parameter(torch.randn(len(grid), width) * 0.02)
        self.norm = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout))

    def forward(self, values: Tensor, mask: Tensor, hours: Tensor) -> Tensor:
        """Read tokens `(B, T, 3 C)` at `hours` `(B, T)` where `mask` is True; return `(B, R, D)`."""
        seen = (values[..., self.columns :] > 0.5) & mask[..., None]  # (B, T, 2 C): valued, observed
        valued = seen[..., : self.columns]
        own = torch.where(valued, values[..., : self.columns], 0.0)
        parts = []
        if self.series != "imputed":
            near = hours.clamp(float(self.grid[0]) - self.span, float(self.grid[-1]) + self.span)
            value, share = self.attention(near, own, seen, self.grid)
            both = torch.cat([value.transpose(1, 2).flatten(2), share.transpose(1, 2).flatten(2)], 2)
            parts.append(self.irregular(both))  # of (B, R, 3 H C)
        if self.series != "irregular":
            known = last_known(hours, torch.cat([own, seen.to(own.dtype)], 2), torch.cat([valued, seen], 2), self.grid)
            parts.append(self.imputed(known.transpose(1, 2)).transpose(1, 2))
        if len(parts) == 2:
            gate = self.gate(torch.cat(parts, 2))
            parts = [gate * parts[0] + (1 - gate) * parts[1]]
        found: Tensor = self.norm(parts[0] + self.places)
        return found
