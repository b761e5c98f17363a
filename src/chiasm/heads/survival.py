"""Times: a log hazard, Cox's partial likelihood, and survival by a baseline hazard."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chiasm.heads.kind import Array, Baseline, Calibrated, HeadKind
from chiasm.linear.ridge_cox import breslow, survival_at
from chiasm.targets import Outcome, Target
from chiasm.targets.survival import horizon_column


class HazardHead(HeadKind):
    """Log hazard, relative to the training mean."""

    is_relative: ClassVar[bool] = True

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return cox_loss(output, value, event)

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """Term of the log partial likelihood of each patient with an event, in the risk set of these patients.

        Events at one time have the mean of their terms, which Efron's formula gives to no one of them in particular.
        """
        each = output.new_full((len(output),), torch.nan)
        if bool(event.any()):
            terms, rows = _terms(output, value, event)
            _, group, ties = torch.unique_consecutive(value[rows], return_inverse=True, return_counts=True)
            mean = terms.new_zeros(ties.shape).index_add(0, group, terms) / ties
            each[rows] = mean[group].to(each.dtype)
        return each

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        survival = survival_at(link[:, 0], (response.event_times, response.hazard), np.array(response.times))
        columns = {horizon_column(time): survival[:, k] for k, time in enumerate(response.times)}
        return pd.DataFrame({"risk": link[:, 0], **columns})

    def level(self, link: Array, outcome: Outcome) -> Array:
        """A log hazard has no level: zero."""
        return np.zeros(link.shape[1])

    def baseline(self, target: Target, link: Array, outcome: Outcome) -> Baseline:
        """Breslow's cumulative baseline hazard, and the target's horizons or those of the events."""
        if outcome.event is None:
            return Baseline()
        event_times, hazard = breslow(link[:, 0], outcome.value, outcome.event)
        return Baseline(target.with_horizons(outcome).times, event_times, hazard)


def cox_loss(output: Tensor, value: Tensor, event: Tensor) -> Tensor:
    """Negative log partial likelihood per event, Efron ties; zero, with zero gradient, without an event.

    The sums over risk sets stay in logarithms (`ridge_cox` has the formula), so that the loss and its gradient are
    finite for log hazards of any size; patients censored at the time of an event are at risk. A batch in which nobody
    else is at risk at the event carries no information either: its loss is zero by the formula.
    """
    if not bool(event.any()):
        return (output * 0.0).sum()
    terms, _ = _terms(output, value, event)
    return terms.sum() / len(terms)


def _terms(output: Tensor, value: Tensor, event: Tensor) -> tuple[Tensor, Tensor]:
    """Return the negative term of each of the E events, `(E,)`, and the row of its patient, `(E,)`; E > 0."""
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
    return whole + torch.log1p(-share) - own, order[happened]
