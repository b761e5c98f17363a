"""Prediction head of every neural recipe: LayerNorm and one linear map, with the loss of its kind of target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.cohort import Outcome, Target, class_names

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Head(nn.Module):
    """Linear map `W LN(embedding) + b` to logits of classes or labels, a standardised number, or a log hazard.

    Args:
        width: D of the embedding; 0 where a fusion gives the link itself, so that nothing is left to learn here.
        outputs: K, as `output_width` gives it.
        kind: "classification", "multilabel", "regression" or "survival".
    """

    def __init__(self, width: int, outputs: int, kind: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if width else nn.Identity()
        self.linear = nn.Linear(width, outputs) if width else nn.Identity()
        self.kind = kind

    def forward(self, embedding: Tensor) -> Tensor:
        """Map an embedding `(B, D)` to outputs `(B, K)`."""
        return self.linear(self.norm(embedding))  # type: ignore[no-any-return]

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """Mean loss of a batch, a finite scalar; `value` and `event` are as `target_tensors` gives them."""
        return LOSSES[self.kind](output, value, event)


def cross_entropy(output: Tensor, value: Tensor, event: Tensor) -> Tensor:
    """Mean negative log probability of the true class; `value` holds class codes."""
    return nn.functional.cross_entropy(output, value.long())


def masked_cross_entropy(output: Tensor, value: Tensor, event: Tensor) -> Tensor:
    """Mean binary cross entropy over the known cells of `value` `(B, K)`, which is NaN where a label is missing."""
    known = ~torch.isnan(value)
    if not bool(known.any()):
        return (output * 0.0).sum()
    return nn.functional.binary_cross_entropy_with_logits(output[known], value[known])


def squared_error(output: Tensor, value: Tensor, event: Tensor) -> Tensor:
    """Mean squared error of a standardised number."""
    return nn.functional.mse_loss(output[:, 0], value)


def cox_loss(output: Tensor, value: Tensor, event: Tensor) -> Tensor:
    """Negative log partial likelihood per event, Efron ties; zero, with zero gradient, without an event.

    The sums over risk sets stay in logarithms (`ridge_cox` has the formula), so that the loss and its gradient are
    finite for log hazards of any size; patients censored at the time of an event are at risk. A batch in which nobody
    else is at risk at the event carries no information either: its loss is zero by the formula.
    """
    if not bool(event.any()):
        return (output * 0.0).sum()
    order = torch.argsort(value, descending=True, stable=True)  # latest first: a risk set is a prefix
    risk, late, happened = output[order, 0], value[order], event[order]
    own, times = risk[happened], late[happened]  # (E,)
    reach = torch.searchsorted(-late, -times, right=True)
    whole = torch.logcumsumexp(risk, 0)[reach - 1]
    _, group, ties = torch.unique_consecutive(times, return_inverse=True, return_counts=True)
    highest = own.new_full(ties.shape, -torch.inf).scatter_reduce(0, group, own.detach(), "amax")
    within = own.new_zeros(ties.shape).index_add(0, group, torch.exp(own - highest[group]))
    tied = (highest + within.log())[group]
    rank = torch.arange(len(times), device=times.device) - (ties.cumsum(0) - ties)[group]
    share = rank.to(own.dtype) / ties[group] * torch.exp((tied - whole).clamp_max(0.0))
    return (whole + torch.log1p(-share) - own).sum() / len(own)


LOSSES: dict[str, Loss] = {
    "classification": cross_entropy,
    "multilabel": masked_cross_entropy,
    "regression": squared_error,
    "survival": cox_loss,
}


def output_width(target: Target) -> int:
    """Number of outputs K: the number of classes or labels, else one."""
    return max(1, len(class_names(target)))


def target_tensors(outcome: Outcome, centre: float = 0.0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Convert outcomes to `(value - centre) / scale`, float32 `(B,)` or `(B, K)`, and bool events `(B,)` or False."""
    event = outcome.event if outcome.event is not None else np.zeros(len(outcome.value), bool)
    value = torch.from_numpy(((outcome.value - centre) / scale).astype(np.float32))
    return value, torch.from_numpy(np.ascontiguousarray(event))
