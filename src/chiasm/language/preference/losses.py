"""Losses of preference on log-probabilities of whole completions: DPO, R-DPO, IPO, KTO and ORPO.

`log p(y)` is the sum over the tokens of a completion, `|y|` their number. With `d(y) = log p(y) - log p_ref(y)` and a
price of length alpha, the reward of a completion is `r(y) = beta d(y) + alpha |y|`, and `m = r(y_c) - r(y_r)`:

- DPO `-log sigmoid(m)` with alpha 0, R-DPO the same with alpha above 0. With label smoothing e, Robust DPO:
  `(-(1 - e) log sigmoid(m) + e log sigmoid(-m)) / (1 - 2 e)`; the whole of `m` changes its sign in the flipped half;
- IPO `(d(y_c) / |y_c| - d(y_r) / |y_r| + alpha (|y_c| - |y_r|) / beta - 1 / (2 beta))^2`;
- KTO `1 - sigmoid(r(y_c) - z)` and `1 - sigmoid(z - r(y_r))`, z the same reward of completions under other prompts,
  its mean, 0 or more;
- ORPO `-l(y_c) - beta log sigmoid(odds(y_c) - odds(y_r))`, `l = log p / |y|`, `odds = l - log(1 - exp l)`; it has no
  reference, and its log-probabilities are means over tokens: there is nothing that a price of length could act on. Of
  trl, which trains it, the first term is over the tokens of the prompts too.

A longer chosen text thus has less to gain: where alpha is above 0, the model is not paid for length alone.

Sources: Rafailov and others 2023, arXiv 2305.18290; Park and others 2024, arXiv 2403.19159 (R-DPO); Azar and others
2023, arXiv 2310.12036; Ethayarajh and others 2024, arXiv 2402.01306; Hong and others 2024, arXiv 2403.07691; Chowdhury
and others 2024, arXiv 2403.00409 (Robust DPO). IPO is averaged over tokens, as trl has it and its authors meant it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

DPO, R_DPO, IPO, KTO, ORPO = "dpo", "r-dpo", "ipo", "kto", "orpo"
LOSSES = (DPO, R_DPO, IPO, KTO, ORPO)
ALPHA = 0.05
"""Price of a token in R-DPO unless another is given, as CheXalign has it."""


@dataclass(frozen=True)
class Preference:
    """Which loss of preference, and its numbers.

    Args:
        loss: one of `LOSSES`.
        beta: how dear it is to leave the reference; for ORPO the weight of the odds.
        alpha: price of a token of a completion; `ALPHA` for R-DPO and 0 for the others, unless given.
        smoothing: share of the pairs whose order is taken for wrong, below .5; for DPO and R-DPO.
    """

    loss: str = DPO
    beta: float = 0.1
    alpha: float | None = None
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss={self.loss} is no loss of preference: choose one of {', '.join(LOSSES)}")
        if not (math.isfinite(self.beta) and self.beta > 0):
            raise ValueError(f"beta={self.beta} must be above 0")
        if self.alpha is not None and not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise ValueError(f"alpha={self.alpha} must be 0 or more: it is what a token costs")
        if self.alpha and self.loss == DPO:
            raise ValueError("a price of length makes it loss=r-dpo: name that, or leave alpha out")
        if self.alpha and self.loss == ORPO:
            raise ValueError(
                "ORPO has no reference that could carry a price of length, and is a mean over tokens: leave alpha out"
            )
        if not 0 <= self.smoothing < 0.5:
            raise ValueError(f"smoothing={self.smoothing} must be 0 or more and below .5")
        if self.smoothing and self.loss not in (DPO, R_DPO):
            raise ValueError(f"labels are smoothed in dpo and r-dpo alone: leave smoothing out with loss={self.loss}")

    @property
    def price(self) -> float:
        """Price of a token: what is given, or the usual one of the loss."""
        return (ALPHA if self.loss == R_DPO else 0.0) if self.alpha is None else self.alpha


@dataclass(frozen=True)
class Sides:
    """Something of the chosen and of the rejected completion of B pairs, each `(B,)`."""

    chosen: Tensor
    rejected: Tensor


def pair_losses(own: Preference, policy: Sides, reference: Sides, lengths: Sides, kl: Tensor | None = None) -> Tensor:
    """Loss of each pair, `(B,)`; of KTO the sum of its two completions.

    Args:
        policy, reference: log-probabilities of the completions; ORPO reads no reference.
        lengths: tokens of the completions, 1 or more.
        kl: for KTO the mean reward of completions under other prompts; 0 where it is not given.
    """
    if own.loss == ORPO:
        mean = Sides(policy.chosen / lengths.chosen, policy.rejected / lengths.rejected)
        return -mean.chosen - own.beta * logsigmoid(_log_odds(mean.chosen) - _log_odds(mean.rejected))
    if own.loss == IPO:
        each = Sides(
            (policy.chosen - reference.chosen) / lengths.chosen,
            (policy.rejected - reference.rejected) / lengths.rejected,
        )
        paid = own.price * (lengths.chosen - lengths.rejected) / own.beta
        return (each.chosen - each.rejected + paid - 1 / (2 * own.beta)) ** 2
    reward = rewards(own, policy, reference, lengths)
    if own.loss == KTO:
        z = torch.zeros(()) if kl is None else kl.detach().clamp_min(0)
        return (1 - torch.sigmoid(reward.chosen - z)) + (1 - torch.sigmoid(z - reward.rejected))
    margin = reward.chosen - reward.rejected
    kept, flipped = -logsigmoid(margin), -logsigmoid(-margin)
    return ((1 - own.smoothing) * kept - own.smoothing * flipped) / (1 - 2 * own.smoothing)


def rewards(own: Preference, policy: Sides, reference: Sides, lengths: Sides) -> Sides:
    """`r(y) = beta (log p(y) - log p_ref(y)) + alpha |y|` of both sides."""
    return Sides(
        own.beta * (policy.chosen - reference.chosen) + own.price * lengths.chosen,
        own.beta * (policy.rejected - reference.rejected) + own.price * lengths.rejected,
    )


def priced(own: Preference, reference: Tensor, lengths: Tensor) -> Tensor:
    """Log-probabilities of a reference under which a loss without a price is the loss with one, `(B,)`.

    `p_ref(y) exp(-alpha |y| / beta)` in place of `p_ref(y)` adds `alpha |y|` to each reward, and nothing else; for IPO,
    which divides by `|y|`, the exponent has `|y|^2`.
    """
    power = 2 if own.loss == IPO else 1
    return reference - own.price * lengths.to(reference.dtype) ** power / own.beta


def _log_odds(mean: Tensor) -> Tensor:
    """`log(p / (1 - p))` of p = exp(mean), which is below 1."""
    mean = mean.clamp_max(-torch.finfo(mean.dtype).eps)
    return mean - torch.where(mean > -math.log(2), torch.log(-torch.expm1(mean)), torch.log1p(-torch.exp(mean)))
