"""Diffusion of categories: noise moves a level to any other with equal chance, and is taken back step by step."""

from __future__ import annotations

import torch
from torch import Tensor

from chiasm.generation.diffusion import Schedule

LEAST = 1e-12


def cosine_shares(steps: int) -> Tensor:
    """`(steps + 1,)` share of what was there that is left after each step of the cosine schedule, 1 at first."""
    whole = Schedule("cosine", steps).alpha_bar
    return torch.cat([torch.ones(1, dtype=whole.dtype), whole]).float()


def noised(first: Tensor, share: Tensor, valid: Tensor) -> Tensor:
    """`q(x_t | x_0) = abar x_0 + (1 - abar) / K` over K levels.

    Args:
        first: `(B, C, K)` one-hot, or probabilities.
        share: `(B,)`, abar_t.
        valid: `(C, K)` bool, the levels that a column has; the others stay at 0.
    """
    even = valid / valid.sum(-1, keepdim=True)
    kept = share[:, None, None]
    return kept * first + (1 - kept) * even


def before(now: Tensor, first: Tensor, step: Tensor, share_before: Tensor, valid: Tensor) -> Tensor:
    """`q(x_{t-1} | x_t, x_0)`, proportional to `(a_t x_t + (1 - a_t) / K) (abar_{t-1} x_0 + (1 - abar_{t-1}) / K)`.

    Args:
        now, first: `(B, C, K)`, x_t one-hot, and x_0 one-hot or as probabilities.
        step, share_before: `(B,)`, a_t and abar_{t-1}.
    """
    found = noised(now, step, valid) * noised(first, share_before, valid)
    return found / found.sum(-1, keepdim=True).clamp_min(LEAST)


def divergence(first: Tensor, now: Tensor, told: Tensor, step: Tensor, share_before: Tensor, valid: Tensor) -> Tensor:
    """`(B, C)` loss of a step: `KL(q(x_{t-1} | x_t, x_0) || q(x_{t-1} | x_t, told))`, at t = 1 `-log p(x_0 | x_1)`.

    Both are one formula, since `q(x_0 | x_1, x_0)` is x_0 itself (Hoogeboom et al., Argmax Flows and Multinomial
    Diffusion, NeurIPS 2021, equations 12 to 15).

    Args:
        told: `(B, C, K)` probabilities of x_0 that a network tells.
    """
    true = before(now, first, step, share_before, valid)
    own = before(now, told, step, share_before, valid)
    return (true * (true.clamp_min(LEAST).log() - own.clamp_min(LEAST).log())).sum(-1)


def drawn(chances: Tensor, generator: torch.Generator, alike: bool = False) -> Tensor:
    """One-hot draws `(B, C, K)` of levels by their chances.

    Args:
        alike: all B meet the same chance, so that who else is among them changes nothing.
    """
    uniform = torch.rand((1, *chances.shape[1:]) if alike else chances.shape, generator=generator).clamp_min(LEAST)
    place = (chances.clamp_min(LEAST).log() - (-uniform.log()).log()).masked_fill(chances <= 0, -torch.inf).argmax(-1)
    return torch.nn.functional.one_hot(place, chances.shape[-1]).to(chances.dtype)
